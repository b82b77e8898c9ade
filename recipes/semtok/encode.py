"""Cache the tokens of a data set, so that a generator trains without the tokenizer."""

from semtok.config import SemTokConfig
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from vistok.workbench.run.devices import best_device
from vistok.workbench.tokens.encoding import Coder, ShardWriter, tokenizer_checksum, write_shards
from vistok.workbench.tokens.shards import TokenShards, open_tokens, write_index

TOKENS = "tokens"  # the kind of tokens that there are, (M, V, N); of bits, bit k counts 2 ** k


def token_coder(tokenizer: SemTok, made_by: str = "") -> Coder:
    """What makes tokens of images."""
    return Coder(lambda images: {TOKENS: tokenizer.encode(images)}, {TOKENS: tokenizer.settings.codebook_size}, made_by)


def encode_data_set(
    config: SemTokConfig, paths: RunPaths, space: LatentSpace | None = None, *, resume: bool = False
) -> None:
    """Write the cache of the training images; ``resume`` keeps the shards that are there."""
    tokenizer = SemTok.from_pretrained(paths.tokenizer, space=space).eval().to(best_device())
    coder = token_coder(tokenizer, tokenizer_checksum(paths.tokenizer))
    writer = ShardWriter(paths.tokens, coder, config.data.load_to_encode(), config.data.token_variants)
    if write_shards(writer, resume=resume) is not None:
        write_index(paths.tokens, writer.about)


def load_tokens(paths: RunPaths) -> TokenShards:
    """Open the cache."""
    return open_tokens(paths.tokens)
