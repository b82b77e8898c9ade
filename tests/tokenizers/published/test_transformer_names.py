"""Where the parts of a transformer block stand in the authors' files."""

from _support.mutants import catches
from vistok.tokenizers.adapter import TransformerBlock
from vistok.tokenizers.published._transformer_names import block_sources

SUBJECT = "vistok.tokenizers.published._transformer_names"


@catches(SUBJECT, '"norm1": "ln_1."', '"norm1": "ln_2."')
@catches(SUBJECT, '"mlp.0": "mlp.c_fc."', '"mlp.0": "mlp.c_proj."')
@catches(SUBJECT, 'f"{theirs}.{index}.{name}{leaf}"', 'f"{theirs}.0.{name}{leaf}"')
def test_every_parameter_of_each_block_has_its_name():
    sources = dict(block_sources("blocks", "there", 2))
    assert set(sources) == {
        f"blocks.{i}.{name}" for i in range(2) for name, _ in TransformerBlock(8, 2).named_parameters()
    }
    assert [source.names for ours, source in sources.items() if ours.startswith("blocks.1.") and "weight" in ours] == [
        ("there.1.ln_1.weight",),
        ("there.1.attn.in_proj_weight",),
        ("there.1.attn.out_proj.weight",),
        ("there.1.ln_2.weight",),
        ("there.1.mlp.c_fc.weight",),
        ("there.1.mlp.c_proj.weight",),
    ]
