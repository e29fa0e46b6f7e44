r"""What W&B takes as a tag, a name or a project, and text made to fit.

The client (wandb 0.31, `wandb/sdk/wandb_settings.py`) refuses a tag that is empty or longer than 64 characters, and a
project longer than 128 or with one of ``/\#?%:``. The server refuses a job type over 64 characters, and the name of a
run or of a group over 128, which offline shows only when the run is synced (wandb/wandb#6402, NVIDIA-NeMo/Skills#842).
"""

from collections.abc import Iterable, Mapping

from qae.console.text import brief, encodable, one_line
from qae.errors import ConfigError

TAG_LETTERS = JOB_TYPE_LETTERS = 64
NAME_LETTERS = GROUP_LETTERS = PROJECT_LETTERS = 128
FORBIDDEN = "/\\#?%:"


def tags(labels: Iterable[object]) -> tuple[str, ...]:
    """Labels as tags, each once: one tag per entry of a list, none for a blank; long ones are shortened."""
    words: list[str] = []
    for label in labels:
        entries = label if isinstance(label, list | tuple) else (label,)
        words += [str(entry).strip() for entry in entries if entry is not None and entry is not False]
    return tuple(dict.fromkeys(_fitting(word, TAG_LETTERS) for word in words if word))


def group(sweep: str) -> str:
    """The sweep's name as the group of its runs."""
    return _fitting(sweep.strip(), GROUP_LETTERS)


def job_type(backend: object) -> str:
    """What trains the run, as its job type."""
    return _fitting(str(backend).strip(), JOB_TYPE_LETTERS)


def run_name(name: str) -> str:
    """The name of a run."""
    return _fitting(name.strip(), NAME_LETTERS)


def config(values: Mapping[str, object]) -> dict[str, object]:
    """A configuration with the keys that the client takes, which are text, and without halves of characters."""
    return {encodable(str(key)): _encodable(value) for key, value in values.items()}


def checked(key: str, value: object) -> str | None:
    """The name of a project or of an entity; None where there is none.

    Raises:
        ConfigError: W&B would not take it, and another name would be another project.
    """
    if value is None or value == "":
        return None
    text = str(value)
    entity, slash, name = text.rpartition("/")
    if slash and key.endswith("project") and entity and name and not set(FORBIDDEN) & {*entity, *name}:
        raise ConfigError(key, value, f"give the two apart: tracking.entity={entity} tracking.project={name}")
    plain = isinstance(value, str | int) and not isinstance(value, bool) and text.isprintable()
    if not plain or text != text.strip() or not 0 < len(text) <= PROJECT_LETTERS or set(text) & set(FORBIDDEN):
        raise ConfigError(
            key, value, f"W&B takes 1 to {PROJECT_LETTERS} characters on one line and none of {' '.join(FORBIDDEN)}"
        )
    return text


def _fitting(text: str, most: int) -> str:
    """The text where W&B takes it, which so stays the same however often it is made to fit."""
    return text if one_line(text) == text and len(text) <= most else brief(text, most)


def _encodable(value: object) -> object:
    if isinstance(value, Mapping):
        return config(value)
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return encodable(value) if isinstance(value, str) else value
