"""Generators on image tokens and latents: xAR, FAR and masked AR."""

from .attention import attention
from .cells import block_causal_mask, cell_permutation
from .feed_forward import SwiGLU
from .flow_matching import (
    FlowSample,
    data_to_velocity,
    flow_path,
    logit_normal_times,
    noise_to_velocity,
    score_to_velocity,
    velocity_to_data,
    velocity_to_noise,
    velocity_to_score,
)
from .guidance import Guidance, guide
from .kv_cache import KVCache
from .label_embedding import LabelEmbedding
from .modulation import Modulation, modulate
from .normalization import RMSNorm
from .rotary import rotary_table_1d, rotary_table_2d, rotate
from .solvers import late_jump_times, power_times, solve_ode, solve_sde, uniform_times
from .time_embedding import TimeEmbedding
from .xar import XAR, XAROptions
from .xar_presets import xar_base, xar_huge, xar_large

__all__ = [
    "XAR",
    "FlowSample",
    "Guidance",
    "KVCache",
    "LabelEmbedding",
    "Modulation",
    "RMSNorm",
    "SwiGLU",
    "TimeEmbedding",
    "XAROptions",
    "attention",
    "block_causal_mask",
    "cell_permutation",
    "data_to_velocity",
    "flow_path",
    "guide",
    "late_jump_times",
    "logit_normal_times",
    "modulate",
    "noise_to_velocity",
    "power_times",
    "rotary_table_1d",
    "rotary_table_2d",
    "rotate",
    "score_to_velocity",
    "solve_ode",
    "solve_sde",
    "uniform_times",
    "velocity_to_data",
    "velocity_to_noise",
    "velocity_to_score",
    "xar_base",
    "xar_huge",
    "xar_large",
]
