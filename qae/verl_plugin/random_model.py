"""A Qwen3 with random weights and a tokenizer of characters, made locally: the architecture without a download."""

import string
from dataclasses import asdict, dataclass
from pathlib import Path

_SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>")
_CHARACTERS = (*string.printable[:95], "\n")  # ASCII from 0 to ~ and the space
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """Sizes of a Qwen3, by transformers' names (`Qwen3Config`)."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int


TINY = Shape(64, 128, 2, 4, 2, 16, 512)  # 83 thousand parameters
QWEN3_0_6B = Shape(1024, 3072, 28, 16, 8, 128, 4096)  # Qwen3-0.6B without its vocabulary: 440 million parameters


def make(folder: Path, shape: Shape, seed: int = 0) -> None:
    """Write model and tokenizer to a folder; the same ones for the same shape and seed.

    Args:
        folder: where; made if missing.
        shape: of the network.
        seed: of the weights.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    vocabulary = {token: number for number, token in enumerate((*_SPECIAL, *_CHARACTERS))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_SPECIAL[0],
        eos_token=_SPECIAL[2],
        additional_special_tokens=[_SPECIAL[1]],
        chat_template=_TEMPLATE,
    ).save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        **asdict(shape),
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=2,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Qwen3ForCausalLM(config).save_pretrained(folder)
