"""config.yaml: what is written is read back as the configuration that was meant."""

import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from sweeps.run_store.configuration import dumped
from tests.support.configs import embedded_mapping, verl_mapping

NUMBERS = ("1e-3", "1_000", "0x1f", "1:30", ".inf", "inf", "nan", "1.", "+1", "0o7", "-0", "\u0661")
WORDS = ("yes", "y", "N", "on", "null", "~", "", " ", "- x", "#c", "'q'", "=", "<<", "2026-01-01", "\u00e9")
LONGER = ("a: b", "a\nb", "x" * 200, "a tab\t", "\N{GRINNING FACE}")
TEXTS = st.one_of(
    st.sampled_from([*NUMBERS, *WORDS]), st.text().filter(lambda text: "${" not in text and text != "???")
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
@example({"text": list(NUMBERS), "words": [*WORDS, *LONGER]})
def test_omegaconf_reads_back_what_was_meant(config: dict[str, object]) -> None:
    assert OmegaConf.to_container(OmegaConf.create(dumped(config))) == config


def test_the_text_is_omegaconfs() -> None:
    for config in (embedded_mapping(), verl_mapping()):
        assert dumped(config) == OmegaConf.to_yaml(OmegaConf.create(config))


def test_a_list_that_stands_twice_is_written_twice() -> None:
    shared = [1, 2]
    text = dumped({"a": shared, "b": shared})
    assert "&" not in text
    assert yaml.safe_load(text) == {"a": [1, 2], "b": [1, 2]}
