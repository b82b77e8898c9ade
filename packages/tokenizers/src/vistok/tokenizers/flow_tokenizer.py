"""A sequence of bits and a flow back to the image: the tokenizer of FlowMo."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from vistok.generators.flow.solvers import power_times, solve_ode
from vistok.generators.layers.double_stream import DoubleStreamBlock
from vistok.generators.layers.modulation import Modulation, modulate
from vistok.generators.layers.rotary import rotary_table_1d
from vistok.generators.layers.time_embedding import TimeEmbedding
from vistok.quantizers import LookupFreeQuantizer
from vistok.tokenizers._checks import check_images, check_shape, check_sides, check_sizes
from vistok.tokenizers._dtypes import like_weights


class StackSize(NamedTuple):
    """Of a transformer of two streams.

    Attributes:
        width: Channels of both streams.
        depth: Blocks.
        num_heads: Attention heads; each has a multiple of 32 channels.
    """

    width: int
    depth: int
    num_heads: int


@dataclass(frozen=True)
class FlowSampling:
    """How images are sampled; the defaults are FlowMo's.

    Args:
        num_steps: Euler steps.
        power: Of the time grid, fine near the data.
        guidance: Scale of classifier-free guidance; 1 leaves it out.
        low: The earliest flow time that is guided.
        high: The latest one.

    Example:
        >>> FlowSampling(num_steps=5).guidance
        1.5
    """

    num_steps: int = 25
    power: float = 4.0
    guidance: float = 1.5
    low: float = 0.17 / 1.17
    high: float = 1.02 / 2.02


class FlowEncoder(nn.Module):
    """Images to features of as many tokens as asked for; all of them ask the same, from their own place."""

    def __init__(self, patch_size: int, bits: int, size: StackSize) -> None:
        super().__init__()
        self.patch_size, self.head_dim = patch_size, size.width // size.num_heads
        self.embed = nn.Linear(3 * patch_size**2, size.width)
        self.query = nn.Parameter(0.02 * torch.randn(size.width))
        self.blocks = nn.ModuleList(
            DoubleStreamBlock(size.width, size.num_heads, conditioned=False, affine=False, gelu="tanh")
            for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.width, elementwise_affine=False, eps=1e-6)
        self.out = nn.Linear(size.width, bits)

    def forward(self, images: Tensor, num_tokens: int) -> Tensor:
        """Encode images."""
        rows, grid = _rows(images, self.patch_size)
        tokens, patches = self.query.expand(len(images), num_tokens, -1), self.embed(rows)
        tables = _token_table(num_tokens, self.head_dim, rows), _patch_table(grid, self.head_dim, rows)
        for index, block in enumerate(self.blocks, start=1):
            tokens, patches = block(
                tokens,
                patches,
                first_rotary=tables[0],
                second_rotary=tables[1],
                update_second=index < len(self.blocks),  # nothing reads the last one's patches
            )
        return self.out(self.norm(tokens))  # type: ignore[no-any-return]


class FlowDecoder(nn.Module):
    """The velocity of the straight path from image (t = 0) to noise (t = 1), given codes or none."""

    def __init__(self, patch_size: int, bits: int, size: StackSize) -> None:
        super().__init__()
        self.patch_size, self.head_dim = patch_size, size.width // size.num_heads
        self.embed = nn.Linear(3 * patch_size**2, size.width)
        self.embed_codes = nn.Linear(bits + 1, size.width)  # the last channel says that the codes are known
        self.time = TimeEmbedding(size.width)
        self.blocks = nn.ModuleList(
            DoubleStreamBlock(size.width, size.num_heads, affine=False, gelu="tanh") for _ in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.width, elementwise_affine=False, eps=1e-6)
        self.modulation = Modulation(size.width, 2)
        self.out = nn.Linear(size.width, 3 * patch_size**2)

    def forward(self, x_t: Tensor, codes: Tensor, t: Tensor) -> Tensor:
        """The velocity at ``x_t`` and ``t``."""
        rows, (h, w) = _rows(x_t, self.patch_size)
        patches, tokens, condition = self.embed(rows), self.embed_codes(codes), self.time(t)
        tables = _patch_table((h, w), self.head_dim, rows), _token_table(codes.shape[1], self.head_dim, rows)
        for index, block in enumerate(self.blocks, start=1):
            patches, tokens = block(
                patches,
                tokens,
                condition,
                first_rotary=tables[0],
                second_rotary=tables[1],
                update_second=index < len(self.blocks),
            )
        shift, scale = (part[:, None] for part in self.modulation(condition))
        out = self.out(self.norm(modulate(self.norm(patches), shift, scale)))  # normalised twice, as published
        sides = {"h": h, "w": w, "p": self.patch_size, "q": self.patch_size}
        return rearrange(out, "b (h w) (p q c) -> b c (h p) (w q)", **sides)  # type: ignore[no-any-return]


class FlowTokenizer(nn.Module):
    """A transformer to a sequence of bits and a flow from noise back; the defaults are FlowMo-Lo's for 256 pixels.

    A place of the sequence has ``bits`` channels, which are ``num_groups`` tokens: bit ``i`` of token ``j`` is the sign
    of channel ``i num_groups + j``, the lowest bit first.

    Source:
        Sargent et al. 2025 (FlowMo), arXiv:2503.11056, in the form of the authors' code.

    Args:
        num_places: Places of the sequence.
        bits: Channels of a place.
        num_groups: Tokens of a place, dividing ``bits``; a token has 18 bits at most.
        patch_size: Side of a patch.
        image_size: Side of the images that are decoded unless told otherwise.
        encoder: Size of the transformer that encodes.
        decoder: Size of the one that decodes.
        sampling: How images are decoded unless told otherwise.

    Attributes:
        codebook_sizes: How many codes a token has, once.

    Shape:
        - images: ``(B, 3, H, W)``, sides divisible by ``patch_size``; floats, brought to the dtype of the weights.
        - features, codes: ``(B, num_places, bits)``.
        - tokens: ``(B, num_places num_groups)`` int64.
        - x_t, velocity: as images; t: ``(B,)``.

    Range:
        Images in [-1, 1]; so are those of :meth:`decode`. Codes are -1 or 1, tokens below ``2^(bits / num_groups)``.

    Gradient:
        Of the call: to the images, straight through the quantizer, to ``x_t`` and to all parameters but ``proj``,
        ``up`` and ``down`` of ``encoder.blocks[-1].second`` and ``decoder.blocks[-1].second``: nothing reads what they
        would make. None of :meth:`encode` and :meth:`decode`.

    Raises:
        ValueError: a size is below 1, heads do not divide a width into multiples of 32, ``num_groups`` does not divide
            ``bits``, or ``patch_size`` not ``image_size`` (at construction); images, ``x_t`` or a size to decode whose
            sides the patches do not fill, or another number of tokens (at call).
        TypeError: Images are not floats (at call).

    Distributed:
        DDP needs ``find_unused_parameters=True``. The codes are signs: there are none to learn.

    Example:
        >>> import torch
        >>> size = StackSize(32, 1, 1)
        >>> tokenizer = FlowTokenizer(5, 6, num_groups=2, image_size=8, encoder=size, decoder=size)
        >>> tokens = tokenizer.encode(torch.zeros(1, 3, 8, 8))
        >>> images = tokenizer.decode(tokens, generator=torch.Generator().manual_seed(0))
        >>> tokens.shape, images.shape, tokenizer.codebook_sizes
        (torch.Size([1, 10]), torch.Size([1, 3, 8, 8]), (8,))
    """

    def __init__(
        self,
        num_places: int = 256,
        bits: int = 18,
        *,
        num_groups: int = 2,
        patch_size: int = 4,
        image_size: int = 256,
        encoder: StackSize = StackSize(768, 8, 12),  # noqa: B008
        decoder: StackSize = StackSize(1152, 16, 12),  # noqa: B008
        sampling: FlowSampling = FlowSampling(),
    ) -> None:
        super().__init__()
        sizes = {"num_places": num_places, "bits": bits, "patch_size": patch_size, "image_size": image_size}
        check_sizes("FlowTokenizer", {**sizes, "encoder": encoder, "decoder": decoder})
        for name, size in (("encoder", encoder), ("decoder", decoder)):
            if size.width % (32 * size.num_heads):
                raise ValueError(f"{name}: expected a width of 32 channels a head or a multiple of it, got {size}")
        _check_sides("image_size", (image_size, image_size), patch_size)
        self.num_places, self.patch_size, self.image_size = num_places, patch_size, image_size
        self.sampling = sampling
        self.encoder = FlowEncoder(patch_size, bits, encoder)
        self.quantizer = LookupFreeQuantizer(bits, num_groups=num_groups, channel_dim=-1)
        self.decoder = FlowDecoder(patch_size, bits, decoder)
        self.codebook_sizes = (self.quantizer.codebook_size,)

    def features(self, images: Tensor) -> Tensor:
        """Return the continuous features before quantization."""
        check_images(images, self.patch_size)
        return self.encoder(like_weights(images, self.encoder.embed.weight), self.num_places)  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Turn images into tokens."""
        groups = self.features(images).unflatten(-1, (-1, self.quantizer.num_groups)).transpose(-1, -2)
        tokens: Tensor = self.quantizer(groups.flip(-1).flatten(-2)).indices  # it has the highest bit in front
        return tokens.flatten(1)

    def codes(self, tokens: Tensor) -> Tensor:
        """Return the codes of tokens."""
        check_shape(tokens, ("B", self.num_places * self.quantizer.num_groups), "tokens")
        grouped = tokens if self.quantizer.num_groups == 1 else tokens.unflatten(1, (self.num_places, -1))
        codes: Tensor = self.quantizer.indices_to_codes(grouped).unflatten(-1, (self.quantizer.num_groups, -1))
        return codes.flip(-1).transpose(-1, -2).flatten(-2)

    def velocity(self, x_t: Tensor, codes: Tensor, t: Tensor, *, known: bool = True) -> Tensor:
        """Return the velocity given codes, or given none of them; gradients pass."""
        check_sides(x_t, self.patch_size, name="x_t")
        dtype = self.decoder.embed.weight.dtype
        flagged = torch.cat([codes, torch.ones_like(codes[..., :1])], dim=-1).to(dtype)
        given = flagged if known else torch.zeros_like(flagged)
        return self.decoder(x_t.to(dtype), given, t)  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(
        self,
        tokens: Tensor,
        *,
        size: tuple[int, int] | None = None,
        sampling: FlowSampling | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Turn tokens into float32 images of a size, clamped to [-1, 1]; the noise is the generator's."""
        sides = size or (self.image_size, self.image_size)
        _check_sides("size", sides, self.patch_size)
        codes, how = self.codes(tokens), sampling or self.sampling
        place = codes.device if generator is None else generator.device
        shape = (len(codes), 3, *sides)
        noise = torch.randn(shape, generator=generator, device=place).to(codes.device)
        return self.solve(codes, noise, how).clamp(-1, 1)

    @torch.no_grad()
    def solve(self, codes: Tensor, noise: Tensor, sampling: FlowSampling) -> Tensor:
        """Carry noise along the guided velocity to images, not clamped."""

        def slope(x: Tensor, time: float) -> Tensor:
            t = torch.full((len(x),), time, device=x.device)
            given = self.velocity(x, codes, t).float()
            if sampling.guidance == 1 or not sampling.low <= time <= sampling.high:
                return given
            none = self.velocity(x, codes, t, known=False).float()
            return none + sampling.guidance * (given - none)

        return solve_ode(slope, noise, power_times(sampling.num_steps, power=sampling.power))

    def forward(self, images: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the velocity at ``x_t`` given the codes of images."""
        return self.velocity(x_t, self.quantizer(self.features(images)).quantized, t)


def _check_sides(name: str, sides: tuple[int, int], patch_size: int) -> None:
    if any(side % patch_size or side < 1 for side in sides):
        raise ValueError(f"{name}: expected sides divisible by patch_size {patch_size}, got {sides}")


def _rows(images: Tensor, patch_size: int) -> tuple[Tensor, tuple[int, int]]:
    """Patches as rows, pixel by pixel, and their grid."""
    grid = (images.shape[-2] // patch_size, images.shape[-1] // patch_size)
    return rearrange(images, "b c (h p) (w q) -> b (h w) (p q c)", p=patch_size, q=patch_size), grid


def _axes(head_dim: int) -> tuple[int, int, int]:
    """An eighth of a head's channels turns with nothing of a patch, the rest with its row and with its column."""
    return head_dim // 8, 7 * head_dim // 16, 7 * head_dim // 16


def _token_table(num_tokens: int, head_dim: int, like: Tensor) -> Tensor:
    """Tokens turn by their place, in all three parts."""
    return torch.cat([rotary_table_1d(num_tokens, axis) for axis in _axes(head_dim)], dim=1).to(like.device)


def _patch_table(grid: tuple[int, int], head_dim: int, like: Tensor) -> Tensor:
    first, second, third = _axes(head_dim)
    still = rotary_table_1d(1, first)[:, None].expand(*grid, -1, -1)
    row = rotary_table_1d(grid[0], second)[:, None].expand(*grid, -1, -1)
    column = rotary_table_1d(grid[1], third)[None].expand(*grid, -1, -1)
    return torch.cat([still, row, column], dim=2).flatten(0, 1).to(like.device)
