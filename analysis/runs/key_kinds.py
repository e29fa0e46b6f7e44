"""Which keys of any configuration name a seed, and which say where, when and by whom a run was made.

The table is the rule: a group of patterns and the reason for them. A pattern is compared with the end of a key, part
by part (``wandb.name`` is the end of ``logger.wandb.name``); one that ends in ``.*`` names a section anywhere in a key.
How a key is written does not count: ``dataSeed`` and ``data-seed`` are ``data_seed``; ``data/seed`` is ``data.seed``.

What a run reads changes its numbers (a model, data, a reward function, a checkpoint to begin with), so no pattern takes
it: bare ``path`` and ``*_path`` are settings.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from qae.operational import is_operational


@dataclass(frozen=True)
class Group:
    """Patterns for one reason.

    Attributes:
        reason: why runs that differ in such a key are one arm.
        patterns: as above.
    """

    reason: str
    patterns: tuple[str, ...]

    def takes(self, words: str) -> bool:
        """Whether a key, as `_words` writes it, is one of the group's."""
        return self._expression.fullmatch(words) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(r"(?:.*\.)?(?:" + "|".join(map(_expression, self.patterns)) + ")")


def _expression(pattern: str) -> str:
    """The pattern as a regular expression; a star stands for letters of one part, ``.*`` for all below a section."""
    if pattern.endswith(".*"):
        return _expression(pattern.removesuffix(".*")) + r"\..+"
    return re.escape(pattern).replace(r"\*", "[^.]*")


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _words(key: str) -> str:
    return re.sub(r"[-\s]", "_", _CAMEL.sub("_", key).lower().replace("/", "."))


SEEDS = Group(
    "the seed: runs of an arm differ in it by design",
    (
        "seed",
        "*_seed",
        "*seed",  # rngseed, pythonhashseed
        "seeds",
        "*_seeds",
        "seed_everything",  # Lightning
        "seed_value",
        "seed_id",
        "seed_idx",
        "seed_index",
        "seed_offset",
        "random_state",  # scikit-learn
        "random_states",
        "rng",
        "rng_key",
        "prng_key",
    ),
)
# Counts and switches whose names end as a seed's does.
NO_SEEDS = Group(
    "a count or a switch",
    ("num_*", "n_seed", "n_seeds", "use_*", "fix_*", "reseed", "no_*", "share_*", "same_*"),
)
OPERATIONAL = (
    Group(
        "the process and the moment",
        (
            "pid",
            "ppid",
            "*_pid",
            "process_id",
            "uuid",
            "uid",
            "time",
            "date",
            "datetime",
            "timestamp",
            "*_timestamp",
            "time_stamp",
            "start_time",
            "started_at",
            "created_at",
            "launch_time",
            "launched_at",
            "run_date",
            "now",
            "argv",
            "cmd",
            "command",
            "command_line",
            "ts",
            "elapsed",
            "elapsed_time",
            "executable",
            "python_version",
            "transformers_version",
            "wandb_version",
            "git.*",
            "git_commit",
            "git_hash",
            "git_sha",
            "git_branch",
            "git_diff",
            "git_dirty",
            "commit",
            "commit_hash",
            "commit_sha",
        ),
    ),
    Group(
        "the machine, its addresses and who uses it",
        (
            "host",
            "hosts",
            "hostname",
            "*_host",
            "*_hostname",
            "node",
            "node_name",
            "nodename",
            "nodelist",
            "node_list",
            "ip",
            "*_ip",
            "addr",
            "*_addr",
            "address",
            "*_address",
            "port",
            "ports",
            "*_port",
            "*_ports",
            "server.url",
            "sandbox_fusion.url",
            "base_url",
            "*_base_url",
            "api_base",
            "*_server_url",
            "server_url",
            "metadata_server",
            "endpoint",
            "*_endpoint",
            "user",
            "username",
            "user_name",
            "local_rank",
            "global_rank",
            "node_rank",
            "machine_rank",
            "device",
            "devices",
            "device_id",
            "device_ids",
            "gpu",
            "gpu_id",
            "gpu_ids",
            "cuda_device",
            "cuda_visible_devices",
            "ib_device",
            "num_workers",
            "*_num_workers",
            "n_workers",
            "num_proc",
            "num_cpus",
            "num_threads",
            "cpus_per_task",
            "pin_memory",
            "prefetch_factor",
            "nccl_timeout",
            "ddp_timeout",
            "slurm_*",
            "env_vars.*",
        ),
    ),
    Group(
        "where a run writes, and from which of its own checkpoints it goes on",
        (
            "cwd",
            "*_cwd",
            "work_dir",
            "workdir",
            "working_dir",
            "workspace",
            "root_dir",
            "*_root_dir",
            "outdir",
            "out_dir",
            "out_path",
            "out_file",
            "output_dir",
            "output_root",
            "output_path",
            "output_file",
            "output_folder",
            "outputs_dir",
            "result_dir",
            "results_dir",
            "result_path",
            "results_path",
            "results_file",
            "save_*",
            "savedir",
            "log_dir",
            "logdir",
            "logs_dir",
            "log_path",
            "log_file",
            "logfile",
            "log_root",
            "log_level",
            "logging_dir",
            "tensorboard_dir",
            "tb_dir",
            "tb_log_dir",
            "ckpt_dir",
            "ckpts_dir",
            "checkpoint_dir",
            "checkpoints_dir",
            "checkpoint_root",
            "dirpath",
            "run_dir",
            "exp_dir",
            "exp_root",
            "experiment_dir",
            "experiments_dir",
            "job_dir",
            "cache_dir",
            "*_cache_dir",
            "tmp_dir",
            "temp_dir",
            "tmpdir",
            "scratch",
            "scratch_dir",
            "dump_dir",
            "dump_path",
            "video_dir",
            "artifact_dir",
            "artifacts_dir",
            "default_local_dir",
            "default_hdfs_dir",
            "rollout_data_dir",
            "validation_data_dir",
            "timeline_json_file",
            "output.dir",
            "output.path",
            "outputs.dir",
            "outputs.path",
            "results.dir",
            "results.path",
            "log.dir",
            "log.path",
            "logs.dir",
            "checkpoint.dir",
            "checkpoints.dir",
            "paths.output",
            "paths.outputs",
            "paths.log",
            "paths.logs",
            "paths.checkpoints",
            "prometheus.file",
            "resume",
            "resume_from",
            "resume_from_checkpoint",
            "resume_from_path",
            "resume_mode",
            "resume_path",
            "resume_id",
            "auto_resume",
            "*_ckpt_to_keep",
            "push_to_hub",
            "push_to_hub_*",
            "hub_*",
            "log_completions",
            "init_args.filename",
        ),
    ),
    Group(
        "what a run is called and who follows it",
        (
            "run_name",
            "run_id",
            "run_idx",
            "run_index",
            "run_number",
            "run_group",
            "run_tag",
            "exp_id",
            "exp_name",
            "expname",
            "exp_group",
            "experiment",
            "experiment_id",
            "experiment_name",
            "experiment_group",
            "job_id",
            "jobid",
            "job_name",
            "array_task_id",
            "trial",
            "trial_id",
            "trial_name",
            "trial_number",
            "replicate",
            "group_name",
            "project",
            "project_name",
            "entity",
            "tag",
            "tags",
            "note",
            "notes",
            "description",
            "comment",
            "report_to",
            "run.id",
            "run.name",
            "run.group",
            "run.dir",
            "job.id",
            "job.num",
            "job.name",
            "experiment.id",
            "experiment.name",
            "exp.id",
            "exp.name",
            "hydra.*",
            "hydra_*",
            "wandb.*",
            "wandb_*",
            "mlflow.*",
            "mlflow_*",
            "tensorboard.*",
            "swanlab.*",
            "swanlab_*",
            "comet.*",
            "comet_*",
            "neptune.*",
            "neptune_*",
            "trackio.*",
            "trackio_*",
            "logger.*",
            "logger",
            "loggers.*",
            "logging.*",
            "slurm.*",
            "submitit.*",
            "launcher.*",
        ),
    ),
    Group("how a run is measured", ("profiler.*",)),
)
# Of a whole configuration these name the run; of a section of it they name a model, an optimizer, a data set.
TOP_LEVEL = Group(
    "what a run is called and where it writes, at the top of a configuration",
    ("id", "name", "exp", "group", "dir", "out", "output", "save", "start", "config", "_wandb.*"),
)


@lru_cache(maxsize=65536)
def names_a_seed(key: str) -> bool:
    """Whether a dotted key names a seed."""
    words = _words(key)
    return SEEDS.takes(words) and not (NO_SEEDS.takes(words) or _is_setting(key) or is_operational(key))


@lru_cache(maxsize=65536)
def reason_left_out(key: str) -> str:
    """Why a dotted key changes no number of a run though `qae.operational` does not know it; "" where it may."""
    words = _words(key)
    if _is_setting(key):
        return ""
    groups = OPERATIONAL if _is_below(words) else (TOP_LEVEL, *OPERATIONAL)
    return next((group.reason for group in groups if group.takes(words)), "")


def _is_setting(key: str) -> bool:
    """Whether it is one of an embedded task, whose seeds draw its problems and start: they are no training seed."""
    return key.startswith(("tabular.", "tiny."))


def _is_below(words: str) -> bool:
    return "." in words and not words.startswith("_wandb.")
