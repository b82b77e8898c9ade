"""Stage I's terms of the codes, by quantizer: what keeps features near codes, and codes in use."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from semtok.config import LossConfig
from semtok.model import SemTok, TrainingOutput
from semtok.quantizer import LookupFreeConfig, VectorConfig
from vistok.losses import binary_spherical_entropy_loss, codebook_commitment_loss, lookup_free_entropy_loss


def code_terms(config: LossConfig, tokenizer: SemTok, out: TrainingOutput) -> dict[str, Tensor]:
    """Entropy of bits; the commitment of LFQ and of learned codes (with the codebook's own term); of FSQ nothing."""
    kind, terms = tokenizer.settings.quantizer, {}
    if kind.binary:
        terms["entropy"] = bit_entropy(out.features, config, on_sphere=kind.unit_length)
    if isinstance(kind, LookupFreeConfig | VectorConfig):
        features = tokenizer.quantizer.to_code_space(out.features)
        terms["quantization"] = codebook_commitment_loss(features, out.codes, beta=config.beta)
    return terms


def bit_entropy(features: Tensor, config: LossConfig, *, on_sphere: bool) -> Tensor:
    """Mean over tokens ``(B, N, L)``, in nats: of joint codes, or of each bit at each position on its own."""
    temperature = config.entropy_temperature
    options: dict[str, Any] = {
        "codebook_weight": config.entropy_codebook_weight,
        "channel_dim": -1,
        "across_ranks": True,
    }
    if config.entropy_of == "codes":
        loss = binary_spherical_entropy_loss if on_sphere else lookup_free_entropy_loss
        return loss(features, temperature=temperature, group_bits=config.entropy_group_bits, **options)
    if on_sphere:  # whose probabilities sigma(4 u / (tau sqrt L)) of directions u are LFQ's at temperature tau sqrt(L)
        features, temperature = F.normalize(features.float(), dim=-1), temperature * features.shape[-1] ** 0.5
    total = lookup_free_entropy_loss(features.flatten(1), temperature=temperature, group_bits=1, **options)
    return total / features.shape[1]
