"""What the page says of a run is so: calls of the decoder, the stages that there are, what was aligned to what."""

import torch

from _support.mutants import catches
from _support.semtok_runs import generator, tiny, tiny_tokenizer
from semtok.config import SamplerConfig
from semtok.length_report import adaptive_table, curve_table, lengths_section
from semtok.report import alignment_line, making_rows, reconstruction_section, steps_sections, tokens_section
from semtok.sampling import decoder_calls

SUBJECT = "semtok.report"
BLACK = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
STORED = dict.fromkeys(("originals", "stage I, 1 step", "stage I, 3 steps"), BLACK)
NAMES = ("stage I, 1 step", "stage I, 3 steps", "refined", "mean image")
MEASURES = {
    "images": {"validation": 12},
    "features": "lite0",
    "names": {"perceptual_distance": "distance", "frechet_distance": "Lite0-FID"},
    **{name: {"psnr": 20.0} for name in NAMES},
}


@catches("semtok.sampling", "1 if scale == 1 else 2", "1")
@catches("semtok.sampling", "sampler_times(settings)[:-1]", "sampler_times(settings)")
def test_calls_are_those_that_the_sampler_makes():
    tokenizer, calls = tiny_tokenizer(), []
    tokenizer.decoder.register_forward_hook(lambda *given: calls.append(1))
    grid = SamplerConfig(num_steps=9, power=2, guidance=2, guidance_low=0.1, guidance_high=0.9)
    for changes in ({}, {"guidance": 1.0}, {"jump_at": 0.4}, {"jump_at": 0.4, "guidance": 1.0}):
        sampler = grid.model_copy(update=changes)
        calls.clear()
        tokenizer.sample(torch.zeros(2, 4, dtype=torch.int64), sampler, generator=generator())
        assert len(calls) == decoder_calls(sampler)


@catches(SUBJECT, 'decoder_calls(sampler.model_copy(update={"num_steps": steps}))', "steps")
@catches(SUBJECT, 'if refiner.kind == "sample" else 0', "if False else 0")
def test_each_reconstruction_has_its_calls_beside_it():
    """Three steps begin at 1, 16/81 and 1/81: the second is guided, and a jump leaves the third out."""
    stored = STORED | {"refined": BLACK}
    for changes, calls in (
        ((), [1, 4, 1, None]),
        (("sampler.jump_at=0.5",), [1, 3, 1, None]),
        (("sampler.guidance=1", "refiner.input=sample"), [1, 3, 4, None]),
        (("refiner.objective=sampler", "refiner.num_steps=2"), [1, 4, 2, None]),
    ):
        picture, table = reconstruction_section(stored, MEASURES, tiny(*changes)).blocks
        assert [row[1] for row in table.rows] == calls
        shown = "1 call" if calls[2] == 1 else f"{calls[2]} calls"
        assert table.rows[2][0] == f"stage II, {shown}"
        assert picture.caption.endswith(f"what stage II makes of them in {shown}.")


@catches(SUBJECT, "if all(by_steps(label, steps) in measures", "if any(by_steps(label, steps) in measures")
@catches(SUBJECT, "\n        if all(by_steps(label, steps) in measures for steps in drawing.progress_steps)", "")
def test_only_studies_of_steps_that_were_measured_are_shown():
    """Samples may have been drawn after the evaluation."""
    drawing = tiny().generators["masked"].samples["default"]
    grids = dict.fromkeys(("raster", "random"), BLACK[:, None].expand(-1, 5, -1, -1, -1))
    found = {label: ({"by_steps": BLACK.expand(2, -1, -1, -1, -1), **grids}, drawing) for label in ("masked", "later")}
    values = {"count": 2.0, "frechet_distance": 50.0}
    measures = MEASURES | {"real images": values, "reference": {"count": 200, "of": "training"}}
    measures |= dict.fromkeys(("steps of masked: 1", "steps of masked: 3", "steps of later: 1"), values)
    (section,) = steps_sections(found, measures)
    assert section.heading == "Generation step by step: masked"
    assert [row[0] for row in section.blocks[1].rows] == ["1", "3", "real images"]


@catches(SUBJECT, 'if "accuracy" in probe:', 'if "probe" in measures:')
@catches(SUBJECT, 'if "accuracy" in probe:', "if False:")
def test_the_tokens_are_probed_where_they_are_cached():
    """Pixels and principal components may be probed alone."""
    bits = {"bits": {"alive": 1.0, "count": 24, "entropy": 0.9, "share_of_ones": [0.5] * 24}}
    probe = {"pixels": 0.9, "pca_codes": 0.8, "most_frequent_class": 0.1}
    rows = [["linear probe of the tokens", "95.0%"], ["most frequent class", "10.0%"]]
    for found, told in (({}, []), ({"probe": probe}, []), ({"probe": probe | {"accuracy": 0.95}}, rows)):
        table = tokens_section(bits | found, tiny()).blocks[0]
        assert [row[:2] for row in table.rows[2:]] == told


@catches(SUBJECT, 'if "refined" in measures:', "if True:")
@catches(SUBJECT, "if sampler.guidance != 1:", "if False:")
@catches(SUBJECT, "if sampler.jump_at is not None:", "if False:")
def test_how_a_run_was_made_names_what_there_is():
    rows = dict(making_rows(tiny("sampler.jump_at=0.5"), MEASURES))
    assert rows["stage II"] == "6 steps of 8 images"
    assert rows["refiner's input"] == "constant"
    assert rows["stage I's sampler"] == (
        "3 steps in 3 calls, grid power 4.0, guidance 1.5 from 0.145 to 0.505, one step to the image from 0.5 on"
    )
    alone = dict(making_rows(tiny("sampler.guidance=1"), {}))
    assert alone["stage I's sampler"] == "3 steps in 3 calls, grid power 4.0"
    assert not {"stage II", "refiner's input"} & set(alone)


@catches(SUBJECT, 'if settings.streams != "queries" else []', 'if settings.streams != "patches" else []')
@catches(SUBJECT, "targets[settings.query_target]", "targets['pooled']")
@catches(SUBJECT, "if settings.decoder_block:", "if False:")
@catches(SUBJECT, "if losses.alignment_weight:", "if True:")
def test_what_was_aligned_is_told_as_it_was():
    block = ("alignment.decoder_block=1", "losses.decoder_alignment_weight=0.2")
    patches, queries = "the encoder's patches to its patches", "the queries to its pooled feature"
    for changes, told in (
        ((), f"Aligned to lite0: {patches} and {queries} with weight 0.5."),
        (("alignment.streams=patches",), f"Aligned to lite0: {patches} with weight 0.5."),
        (("alignment.streams=queries",), f"Aligned to lite0: {queries} with weight 0.5."),
        (
            ("alignment.streams=queries", "alignment.query_target=both"),
            "Aligned to lite0: the queries to its patches and its pooled feature with weight 0.5.",
        ),
        (
            (*block, "losses.alignment_weight=0"),
            "Aligned to lite0: the decoder's patches after block 1 to its patches with weight 0.2.",
        ),
        (("losses.alignment_weight=0",), "Trained without semantic alignment."),
    ):
        assert alignment_line(tiny(*changes)) == told


@catches("semtok.reconstruct", '"stage I in one step" if one_step', '"stage I" if one_step')
def test_parts_of_the_tokens_are_named_by_what_decoded_them_and_counted_in_bits():
    curve = {"tokens": [1, 4], "prefix_psnr": [10.0, 20.0], "scattered_psnr": [9.0, 20.0]}
    adaptive = {"wanted": [15.0], "tokens": [2.5], "reached": [1.0], "psnr": [16.0], "tokens_alike": [3.0]}
    measures = {"images": {"validation": 12}, "lengths": curve, "adaptive length": adaptive}
    for stages, more, name in ((1, {}, "stage I in one step"), (2, {"refined": {}}, "stage II")):
        stored = {"prefix": BLACK[:, None, None].expand(-1, stages, 5, -1, -1, -1), "prefix originals": BLACK}
        *_, table, _ = lengths_section(stored, measures | more, bits=4.64).blocks
        assert table.caption.startswith(f"PSNR and SSIM of {name}, means over")
    assert [row[1] for row in curve_table(curve, bits=4.64, caption="").rows] == ["5", "19"]
    assert adaptive_table(adaptive, bits=4.64).rows[0][2] == "12"
