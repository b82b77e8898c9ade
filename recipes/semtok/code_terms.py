"""Stage I's terms of the codes, for the quantizers other than BSQ: what keeps features near codes, and codes in use."""

from torch import Tensor

from semtok.config import LossConfig
from semtok.model import SemTok, TrainingOutput
from semtok.quantizer import LookupFreeConfig, VectorConfig
from vistok.losses import codebook_commitment_loss, lookup_free_entropy_loss


def code_terms(config: LossConfig, tokenizer: SemTok, out: TrainingOutput) -> dict[str, Tensor]:
    """LFQ's entropy; the commitment of LFQ and of learned codes (with the codebook's own term); of FSQ nothing."""
    kind, terms = tokenizer.settings.quantizer, {}
    if isinstance(kind, LookupFreeConfig):
        terms["entropy"] = lookup_free_entropy(out.features, config)
    if isinstance(kind, LookupFreeConfig | VectorConfig):
        features = tokenizer.quantizer.to_code_space(out.features)
        terms["quantization"] = codebook_commitment_loss(features, out.codes, beta=config.beta)
    return terms


def lookup_free_entropy(features: Tensor, config: LossConfig) -> Tensor:
    """Mean over tokens ``(B, N, L)``, in nats: of joint codes, or of each bit at each position on its own."""
    of_codes = config.entropy_of == "codes"
    total = lookup_free_entropy_loss(
        features if of_codes else features.flatten(1),
        temperature=config.entropy_temperature,
        codebook_weight=config.entropy_codebook_weight,
        group_bits=config.entropy_group_bits if of_codes else 1,
        channel_dim=-1,
        across_ranks=True,
    )
    return total if of_codes else total / features.shape[1]
