#!/usr/bin/env bash
# A real Slurm on one Debian machine, for tests and demonstrations: munge, slurmctld, four slurmd with eight fake GPUs
# each, slurmdbd with MariaDB. Needs root, no systemd, no GPU; installs Debian's packages where they are missing.
#
#   slurm/local_cluster.sh up                 bring it up; what runs already is kept
#   slurm/local_cluster.sh down               take it down; PURGE=1 removes its files too
#   slurm/local_cluster.sh status             what is up
#   slurm/local_cluster.sh kill-node n2       the node loses power: its daemon and every process on it get SIGKILL
#   slurm/local_cluster.sh start-node n2      it comes back into service
#   slurm/local_cluster.sh fail-launch 12     the next launch of job 12 fails, as on a broken node; Slurm holds the job and
#                                             drains the node, which start-node takes back into service
#   slurm/local_cluster.sh stop-controller    slurmctld is stopped, and nobody answers for Slurm
#   slurm/local_cluster.sh start-controller   slurmctld starts again
#   eval "$(slurm/local_cluster.sh env)"      use it from this shell
#
# Several live side by side: QAE_SLURM_HOME (default /var/lib/qae-slurm) holds the files of one, QAE_SLURM_PORT (default
# 17000) and the 99 ports above it are its own. Nothing is written to /etc/slurm.
#
# Options of `up`, kept until the next `up`, which restarts the daemons where an option changed:
#   NODES=4 CPUS=8 GPUS=8   size          MAX_ARRAY=1001   MaxArraySize        MAX_SUBMIT=  jobs a user may have
#   GRACE=15                seconds between TERM and KILL at preemption        DBD=1        accounting; 0: no sacct
#   KILL_WAIT=5             seconds between TERM and KILL at the time limit    PREEMPT_USR2=0  1: --signal at preemption
#   SLURMD_TIMEOUT=20       seconds until a silent node counts as dead
#   NETNS=0                 1: a network, process and mount namespace for each node, with an address of its own
set -euo pipefail

HOME_DIR=${QAE_SLURM_HOME:-/var/lib/qae-slurm}
PORT=${QAE_SLURM_PORT:-17000}
HOST=$(hostname -s)
CONF=$HOME_DIR/etc/slurm.conf
RUN=$HOME_DIR/run
LOG=$HOME_DIR/log
DBD_PORT=$((PORT + 81)) DATABASE_PORT=$((PORT + 82))
export SLURM_CONF=$CONF
# As those of ssh and Debian's cron may not have it.
export PATH=$PATH:/usr/sbin:/sbin

OPTIONS=(NODES CPUS GPUS MAX_ARRAY MAX_SUBMIT GRACE DBD KILL_WAIT PREEMPT_USR2 SLURMD_TIMEOUT NETNS)

read_options() {
  local defaults='NODES=4 CPUS=8 GPUS=8 MAX_ARRAY=1001 MAX_SUBMIT= GRACE=15 DBD=1 KILL_WAIT=5 PREEMPT_USR2=0 SLURMD_TIMEOUT=20 NETNS=0'
  local pair name
  if [[ $1 != up && -s $HOME_DIR/options ]]; then
    # shellcheck source=/dev/null
    source "$HOME_DIR/options"
    return
  fi
  for pair in $defaults; do
    name=${pair%%=*}
    declare -g "$name=${!name-${pair#*=}}"
  done
}

log() { printf '[local_cluster] %s\n' "$*" >&2; }
fail() { log "$*"; exit 1; }

wait_for() { # SECONDS COMMAND…
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || { log "timed out: $*"; return 1; }
    sleep 0.1
  done
}

# Only pids that our own daemons wrote are ever signalled, and only after a look at the name.
running() { # PID_FILE NAME
  local pid
  pid=$(cat "$1" 2>/dev/null) && [[ -n $pid ]] && grep -qE "$2" "/proc/$pid/comm" 2>/dev/null &&
    ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}

stop() { # PID_FILE NAME [SIGNAL]
  local pid
  if running "$1" "$2"; then
    pid=$(cat "$1") # once: daemons remove the file before they are gone
    kill "${3:--TERM}" "$pid"
    for _ in $(seq 150); do
      [[ -d /proc/$pid ]] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || break
      sleep 0.1
    done
  fi
  rm -f "$1"
}

install_packages() {
  local want=(munge slurmctld slurmd slurm-client) missing=() package
  [[ $DBD == 1 ]] && want+=(slurmdbd mariadb-server)
  [[ $NETNS == 1 ]] && want+=(iproute2)
  for package in "${want[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [[ ${#missing[@]} == 0 ]] && return
  command -v apt-get >/dev/null || fail "needs Debian's packages ${missing[*]}, and there is no apt-get"
  log "installing ${missing[*]}"
  # Without systemd the packages must start nothing themselves; the file goes again afterwards.
  local policy=/usr/sbin/policy-rc.d ours=0
  [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; ours=1; }
  apt-get -o DPkg::Lock::Timeout=300 update -qq >"$LOG/apt.log" 2>&1 || log "apt-get update failed; trying what is known"
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "${missing[@]}" >>"$LOG/apt.log" 2>&1 || { tail -5 "$LOG/apt.log" >&2; fail "apt-get install failed"; }
  [[ $ours == 1 ]] && rm -f $policy
  return 0
}

# --- addresses -------------------------------------------------------------------------------------------------------
NET=10.77.$((PORT / 1000 % 250))
BRIDGE=qsbr$((PORT / 1000))
namespace() { echo "qs$((PORT / 1000))-$1"; }
controller_address() { if [[ $NETNS == 1 ]]; then echo $NET.1; else echo 127.0.0.1; fi; }

network_up() {
  local i name
  ip link show "$BRIDGE" >/dev/null 2>&1 ||
    { ip link add "$BRIDGE" type bridge; ip addr add $NET.1/24 dev "$BRIDGE"; ip link set "$BRIDGE" up; }
  {
    echo "127.0.0.1 localhost"
    echo "$NET.1 $HOST"
    for ((i = 1; i <= NODES; i++)); do echo "$NET.$((10 + i)) n$i"; done
  } >"$HOME_DIR/etc/hosts"
  for ((i = 1; i <= NODES; i++)); do
    name=$(namespace "n$i")
    [[ -e /run/netns/$name ]] && continue
    ip netns add "$name"
    ip link add "$name" type veth peer name eth0 netns "$name"
    ip link set "$name" master "$BRIDGE" up
    ip -n "$name" addr add $NET.$((10 + i))/24 dev eth0
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    ip -n "$name" route add default via $NET.1
  done
}

network_down() {
  local path name
  command -v ip >/dev/null || return 0
  for path in /run/netns/"$(namespace n)"*; do
    [[ -e $path ]] || continue
    name=$(basename "$path")
    ip link del "$name" 2>/dev/null || true
    ip netns del "$name" 2>/dev/null || true
  done
  ip link del "$BRIDGE" 2>/dev/null || true
}

# --- configuration ---------------------------------------------------------------------------------------------------
write_config() {
  local i device address host
  address=$(controller_address)
  # Slurm sets CUDA_VISIBLE_DEVICES only for character devices; a clone of /dev/null is one.
  for ((i = 0; i < GPUS; i++)); do
    device=$HOME_DIR/dev/nvidia$i
    [[ -c $device ]] || mknod "$device" c 1 3
  done
  {
    cat <<CONF
ClusterName=qae
SlurmctldHost=$HOST($address)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Requeued jobs wait for cred_expire + 1 seconds before they may start again; 120 is the default.
AuthInfo=socket=$RUN/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$HOME_DIR/state
SlurmdSpoolDir=$HOME_DIR/spool/%n
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd-%n.pid
SlurmctldLogFile=$LOG/slurmctld.log
SlurmdLogFile=$LOG/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
MaxArraySize=$MAX_ARRAY
MaxJobCount=20000
MinJobAge=300
KillWait=$KILL_WAIT
SlurmdTimeout=$SLURMD_TIMEOUT
SlurmctldTimeout=10
UnkillableStepTimeout=10
BatchStartTimeout=10
Prolog=$HOME_DIR/etc/prolog
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0,default_queue_depth=1000
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
JobCompType=jobcomp/none
CONF
    [[ $PREEMPT_USR2 == 1 ]] && echo 'SlurmctldParameters=preempt_send_user_signal'
    if [[ $DBD == 1 ]]; then
      cat <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=$address
AccountingStoragePort=$DBD_PORT
AccountingStoragePass=$RUN/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos
CONF
    else
      echo 'AccountingStorageType=accounting_storage/none'
    fi
    for ((i = 1; i <= NODES; i++)); do
      if [[ $NETNS == 1 ]]; then host=n$i address=$NET.$((10 + i)); else host=$HOST address=127.0.0.1; fi
      echo "NodeName=n$i NodeHostname=$host NodeAddr=$address Port=$((PORT + i)) CPUs=$CPUS RealMemory=64000 Gres=gpu:h100:$GPUS State=UNKNOWN"
    done
    echo "PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=$GRACE MaxTime=7-0 DefaultTime=60 State=UP"
    echo "PartitionName=high Nodes=ALL Default=NO PriorityTier=10 PreemptMode=OFF MaxTime=7-0 DefaultTime=60 State=UP"
  } >"$CONF.new"
  echo "NodeName=n[1-$NODES] Name=gpu AutoDetect=off Type=h100 File=$HOME_DIR/dev/nvidia[0-$((GPUS - 1))]" >"$HOME_DIR/etc/gres.conf"
  : >"$HOME_DIR/etc/plugstack.conf"
  write_prolog
  cat >"$HOME_DIR/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$RUN/munge/socket
DbdHost=localhost
DbdAddr=$(controller_address)
DbdPort=$DBD_PORT
SlurmUser=root
PidFile=$RUN/slurmdbd.pid
LogFile=$LOG/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$DATABASE_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
  chmod 600 "$HOME_DIR/etc/slurmdbd.conf"
}

# A Prolog that exits with anything but 0 is what Slurm takes for a node that cannot start a job (slurm.conf(5), Prolog).
# It takes the order to fail away with it: the next launch, perhaps before the node is back in service, succeeds.
write_prolog() {
  printf '#!/bin/sh\n! rm "%s/fail-launch-$SLURM_JOB_ID" 2>/dev/null\n' "$RUN" >"$HOME_DIR/etc/prolog"
  chmod 755 "$HOME_DIR/etc/prolog"
}

# --- daemons: none keeps a descriptor of the caller's open ------------------------------------------------------------
# In the background (&) its redirections have to be repeated: there a shell stays behind that waits for the daemon.
detached() { setsid "$@" </dev/null >>"$LOG/daemons.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; }

start_munge() {
  local socket=$RUN/munge/socket
  munge -S "$socket" -n </dev/null >/dev/null 2>&1 && return
  install -d -o munge -g munge -m 755 "$RUN/munge"
  install -d -o munge -g munge -m 700 "$HOME_DIR/munge"
  [[ -s $HOME_DIR/munge/key ]] || head -c 128 /dev/urandom >"$HOME_DIR/munge/key"
  chown munge:munge "$HOME_DIR/munge/key"
  chmod 400 "$HOME_DIR/munge/key"
  detached runuser -u munge -- /usr/sbin/munged --force --socket="$socket" --key-file="$HOME_DIR/munge/key" \
    --pid-file="$RUN/munge/munged.pid" --log-file="$HOME_DIR/munge/log" --seed-file="$HOME_DIR/munge/seed"
  wait_for 10 bash -c "munge -S '$socket' -n </dev/null | unmunge -S '$socket'"
}

start_database() {
  local data=$HOME_DIR/database socket=$RUN/database/socket
  local admin=(--no-defaults -S "$socket")
  if ! running "$RUN/database/pid" maria; then
    install -d -o mysql -g mysql "$data" "$RUN/database"
    [[ -d $data/mysql ]] || mariadb-install-db --no-defaults --user=mysql --datadir="$data" --skip-test-db >"$LOG/database.log" 2>&1 ||
      { grep -m 3 ERROR "$LOG/database.log" "$data"/*.err >&2; fail "mariadb-install-db failed, see $LOG/database.log"; }
    detached mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$socket" --pid-file="$RUN/database/pid" \
      --bind-address=127.0.0.1 --port=$DATABASE_PORT --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 \
      --innodb-flush-log-at-trx-commit=0 </dev/null >/dev/null 2>&1 &
    wait_for 30 mariadb-admin "${admin[@]}" ping
  fi
  mariadb "${admin[@]}" -e "CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
    CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED BY 'slurm';
    GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1'; GRANT ALL ON slurm_acct_db.* TO slurm@localhost;"
}

start_accounting() {
  start_database
  running "$RUN/slurmdbd.pid" slurmdbd || { detached slurmdbd; wait_for 60 sacctmgr -n list cluster; }
  sacctmgr -n list cluster format=cluster | grep -qw qae || sacctmgr -i add cluster qae >>"$LOG/sacctmgr.log"
  sacctmgr -n list account format=account | grep -qw qae || sacctmgr -i add account qae >>"$LOG/sacctmgr.log"
  sacctmgr -n list assoc user=root account=qae format=user | grep -qw root ||
    sacctmgr -i add user root account=qae defaultaccount=qae >>"$LOG/sacctmgr.log"
  sacctmgr -i modify user root where account=qae set maxsubmitjobs="${MAX_SUBMIT:--1}" >>"$LOG/sacctmgr.log"
}

start_controller() { running "$RUN/slurmctld.pid" slurmctld || detached slurmctld; }

start_node() {
  mkdir -p "$HOME_DIR/spool/$1"
  if [[ $NETNS == 1 ]]; then start_node_apart "$1"; else running "$RUN/slurmd-$1.pid" slurmd || detached slurmd -N "$1"; fi
}

# nsenter, as `ip netns exec` hides /sys/fs/cgroup, without which slurmd does not start. The pid to kill is that of
# unshare, outside; the namespace's processes go with it.
start_node_apart() {
  running "$RUN/node-$1.pid" 'unshare|nsenter' && return 0
  mkdir -p /tmp/ray
  # exec: a shell in between would have the pid, and keep the caller's output open.
  (exec setsid nsenter --net="/run/netns/$(namespace "$1")" unshare --pid --fork --kill-child --mount-proc --mount --uts \
    bash -c "hostname $1; mount --bind '$HOME_DIR/etc/hosts' /etc/hosts; mount -t tmpfs none /tmp/ray; slurmd -D -N $1") \
    </dev/null >>"$LOG/daemons.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  echo $! >"$RUN/node-$1.pid"
}

kill_node() {
  [[ $1 =~ ^n[0-9]+$ ]] || fail "no node is called $1"
  if [[ $NETNS == 1 ]]; then
    stop "$RUN/node-$1.pid" 'unshare|nsenter' -KILL
    return
  fi
  local pid environment
  stop "$RUN/slurmd-$1.pid" slurmd -KILL
  # First the step daemons, which would report the death of the others.
  for pattern in '^slurmstepd' ''; do
    for environment in /proc/[0-9]*/environ; do
      pid=${environment#/proc/} pid=${pid%/environ}
      [[ $pid != $$ ]] && grep -qE "$pattern" "/proc/$pid/comm" 2>/dev/null || continue
      tr '\0' '\n' <"$environment" 2>/dev/null | awk -v node="SLURMD_NODENAME=$1" -v conf="SLURM_CONF=$CONF" \
        '$0 == node { a = 1 } $0 == conf { b = 1 } END { exit !(a && b) }' || continue
      kill -9 "$pid" 2>/dev/null || true
    done
  done
}

fail_launch() {
  [[ $1 =~ ^[0-9]+$ ]] || fail "$1 is no job: give its number, as squeue's %A prints it"
  touch "$RUN/fail-launch-$1"
}

mend_node() { [[ $(sinfo -h -n "$1" -o %T) != drain* ]] || scontrol update nodename="$1" state=resume; }

# By its short state, as -t idle finds nodes that are idle and drained too.
all_ready() { [[ $(sinfo -h -N -p low -o %t | grep -cxE 'idle|mix|alloc|comp') == "$NODES" ]]; }

# --- commands --------------------------------------------------------------------------------------------------------
up() {
  [[ $(id -u) == 0 ]] || fail "needs root: it starts Slurm's daemons"
  mkdir -p "$HOME_DIR"/{etc,run,log,state,spool,dev}
  exec 8>"$HOME_DIR/.lock"
  flock 8
  install_packages
  write_config
  if ! cmp -s "$CONF.new" "$CONF" && [[ -e $CONF ]]; then
    log "options changed: restarting"
    down_slurm
  fi
  mv "$CONF.new" "$CONF"
  for name in "${OPTIONS[@]}"; do printf '%s=%q\n' "$name" "${!name}"; done >"$HOME_DIR/options"
  [[ $NETNS == 1 ]] && network_up
  start_munge
  [[ $DBD == 1 ]] && start_accounting
  start_controller
  for ((i = 1; i <= NODES; i++)); do start_node "n$i"; done
  rm -f "$RUN"/fail-launch-*
  wait_for 20 sinfo
  for ((i = 1; i <= NODES; i++)); do mend_node "n$i"; done
  wait_for 20 all_ready || { scontrol update nodename="n[1-$NODES]" state=resume; wait_for 20 all_ready; }
  sinfo -N -o '%N %t %c %G' >&2
  flock -u 8
}

down_slurm() {
  local file
  for file in "$RUN"/node-*.pid; do [[ -e $file ]] && stop "$file" 'unshare|nsenter' -KILL; done
  for file in "$RUN"/slurmd-*.pid; do [[ -e $file ]] && stop "$file" slurmd; done
  stop "$RUN/slurmctld.pid" slurmctld
  stop "$RUN/slurmdbd.pid" slurmdbd
}

down() {
  if running "$RUN/slurmctld.pid" slurmctld; then
    timeout 10 scancel --user=root --ctld 2>/dev/null || timeout 10 scancel --user=root 2>/dev/null || true
    for _ in $(seq 50); do [[ -n $(timeout 5 squeue -h 2>/dev/null) ]] && sleep 0.2 || break; done
  fi
  down_slurm
  stop "$RUN/database/pid" maria
  stop "$RUN/munge/munged.pid" munged
  network_down
  [[ ${PURGE:-0} == 1 ]] && rm -rf "$HOME_DIR"
  log "down"
}

status() {
  local name
  for name in munge/munged slurmctld slurmdbd database/pid; do
    case $name in database/pid) file=$RUN/$name comm=maria ;; *) file=$RUN/$name.pid comm=${name##*/} ;; esac
    if running "$file" "$comm"; then echo "${comm} up"; else echo "${comm} down"; fi
  done
  running "$RUN/slurmctld.pid" slurmctld || return 1
  sinfo -N -o '%N %t %c %G'
}

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

read_options "${1:-}"
case ${1:-} in
  up | down | status) "$1" ;;
  kill-node) kill_node "${2:?name of a node}" ;;
  start-node) start_node "${2:?name of a node}" && mend_node "$2" ;;
  fail-launch) fail_launch "${2:?number of a job}" ;;
  stop-controller) stop "$RUN/slurmctld.pid" slurmctld ;;
  start-controller) start_controller ;;
  env) printf 'export SLURM_CONF=%q\n' "$CONF" ;;
  *) usage; exit 2 ;;
esac
