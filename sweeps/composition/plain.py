"""Hydra's and OmegaConf's configurations as the plain mappings that all other code reads."""

from omegaconf import OmegaConf


def plain(config: object, *, resolve: bool = True, complete: bool = False) -> dict[str, object]:
    """A configuration as plain containers.

    Args:
        config: OmegaConf's container of one.
        resolve: replace interpolations by what they stand for.
        complete: refuse a mandatory value that is missing.

    Raises:
        OmegaConfBaseException: an interpolation that leads nowhere, or a missing value.
        ValueError: it is no mapping.
    """
    found = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=complete)
    if not isinstance(found, dict):
        raise ValueError(f"a configuration is a mapping of keys to values, and this is {found!r}")  # noqa: TRY004
    return {str(key): value for key, value in found.items()}
