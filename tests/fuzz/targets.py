"""Every target. The shares follow from what an input costs and from how much its files can differ."""

from tests.fuzz.files import checkpoints, run_directories, verl_files, wandb_files
from tests.fuzz.groups import groups
from tests.fuzz.target import Target
from tests.fuzz.words import command_lines, configurations

TARGETS = (
    Target("command lines of sweep.py", 20, command_lines),
    Target("values of a configuration", 300, configurations),
    Target("files of a run store", 150, run_directories),
    Target("offline files of W&B", 40, wandb_files),
    Target("logs of verl", 60, verl_files),
    Target("checkpoints", 130, checkpoints),
    Target("groups of responses", 300, groups),
)
