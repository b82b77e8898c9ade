"""Sections of a page of runs side by side, each told from what the runs' folders hold."""

import json

import torch

from _support.mutants import catches
from vistok.metrics.report.page import Picture, Table, Text
from vistok.workbench.reporting import comparison
from vistok.workbench.reporting.comparison import compared_runs, comparison_sections
from vistok.workbench.run.folder import mark_run
from vistok.workbench.run.tensor_files import save_tensors

SUBJECT = "vistok.workbench.reporting.comparison"


def images(count, seed):
    return torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def run_of(
    folder, *, config="seed: 0\ntrain: {steps: 5}\n", originals=None, samples=None, names=None, curve=(), measures=None
):
    mark_run(folder, "toy")
    (folder / "config.yaml").write_text(
        f"name: {folder.name}\n{config}generators: {{xar: {{samples: {{default: {{}}}}}}}}\n"
    )
    if originals is not None:
        save_tensors(
            folder / "reconstructions.safetensors", {"originals": originals, "reconstructions": 255 - originals}
        )
    if samples is not None:
        labels = torch.arange(len(samples)) % len(names or "ab")
        save_tensors(folder / "samples-xar.safetensors", {"images": samples, "labels": labels})
    if names is not None:
        (folder / "generator-xar.json").write_text(json.dumps({"class_names": names}))
    lines = [json.dumps({"stage": "tokenizer", "step": step, **values}) for step, values in enumerate(curve, 1)]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    if measures:
        (folder / "evaluation.json").write_text(json.dumps(measures))
    return folder


def sections(*folders):
    return {section.heading: section.blocks for section in comparison_sections(compared_runs(folders))}


def said(blocks):
    return [block.text for block in blocks if isinstance(block, Text)]


@catches(SUBJECT, "if any(value != each[0] for value in each)]", "]")
@catches(SUBJECT, "*map(str, each)]", '*(f"{value:.2}" for value in each)]')
@catches(SUBJECT, '- {"name"}', "")
def test_only_settings_that_differ_are_shown_and_those_of_one_run_are_named(tmp_path):
    one = run_of(tmp_path / "one", config="seed: 0\ntrain: {steps: 5, ema: 0.99995, rate: 0.5}\n")
    two = run_of(tmp_path / "two", config="seed: 0\ntrain: {steps: 9, ema: 0.99999}\n")
    text, table, own = sections(one, two)["Settings that differ"]
    assert isinstance(table, Table)
    assert [list(row) for row in table.rows] == [["train.steps", "5", "9"], ["train.ema", "0.99995", "0.99999"]]
    assert (text.text, own.text) == (
        "All other settings but the name are equal.",
        "Not in every run, but in A: train.rate.",
    )
    assert len(sections(one, one)["Settings that differ"]) == 1


@catches(SUBJECT, "all(key in each for each in places.values())]", "key]")
@catches(SUBJECT, "image.numpy().tobytes(): n", "image.numpy().tobytes(): 0")
def test_held_out_images_that_all_runs_show_stand_over_what_came_back(tmp_path):
    shared = images(3, 0)
    one = run_of(tmp_path / "one", originals=torch.cat([images(2, 1), shared]))
    two = run_of(tmp_path / "two", originals=torch.cat([shared, images(2, 2)]))
    (picture,) = sections(one, two)["Reconstructions"]
    assert isinstance(picture, Picture)
    assert picture.caption.startswith("3 held-out images that all of these runs show")
    assert "The runs show other images beside these" in picture.caption
    (alone,) = sections(one, run_of(tmp_path / "same", originals=torch.cat([images(2, 1), shared])))["Reconstructions"]
    assert alone.caption == "5 held-out images that all of these runs show, and what came back from each."
    swapped = run_of(tmp_path / "swapped", originals=torch.cat([shared, images(2, 1)]))
    assert sections(one, swapped)["Reconstructions"][0].png == alone.png  # each image over its own


@catches(SUBJECT, 'stored.get(tokenizer_section(self.measures) or "", ', "(")
def test_what_came_back_is_what_the_tokenizer_makes_in_the_end_whatever_its_recipe_calls_it(tmp_path):
    shared, measured = images(3, 0), {"psnr": 20.0, "mean_absolute_error": 9.0}
    one = run_of(tmp_path / "one", originals=shared)
    (alike,) = sections(one, one)["Reconstructions"]
    names = ("stage I, 1 step", "stage I, 25 steps", "stage I, 5 steps", "refined")
    for last in (1, 3):
        other = run_of(tmp_path / names[last], measures=dict.fromkeys((names[0], names[2], names[last]), measured))
        made = {name: 255 - shared if name == names[last] else shared for name in names[: last + 1]}
        save_tensors(other / "reconstructions.safetensors", {"originals": shared, **made})
        assert sections(one, other)["Reconstructions"][0].png == alike.png


def test_what_is_missing_or_of_other_data_is_said(tmp_path):
    one, two = run_of(tmp_path / "one", originals=images(2, 0)), run_of(tmp_path / "two", originals=images(2, 1))
    (text,) = said(sections(one, two)["Reconstructions"])
    assert text.startswith("The runs show no held-out image in common")
    bare = run_of(tmp_path / "bare")
    found = sections(one, bare)
    assert said(found["Reconstructions"]) == ["No reconstructions in B."]
    assert said(found["Samples"]) == ["No samples in A, B."]
    assert said(found["Curves"]) == ["The runs have no curve in common."]
    assert "Measures" not in found


@catches(SUBJECT, "if len(shapes) > 1:", "if False:")
@catches(SUBJECT, "if len(set(keys)) > 1}", "if keys}")
def test_samples_and_curves_stand_side_by_side(tmp_path):
    curve = [{"reconstruction": 1.0, "learning_rate": 0.1}, {"reconstruction": 0.5, "learning_rate": 0.1}]
    one = run_of(tmp_path / "one", samples=images(6, 0), curve=[line | {"histogram": 1.0} for line in curve])
    two = run_of(tmp_path / "two", samples=images(4, 1), curve=curve)
    found = sections(one, two)
    assert found["Samples"][0].caption == "Unselected samples, a column a class (A: xar, B: xar)."
    assert found["Curves"][0].caption == "Training of tokenizer, unweighted terms. In one run alone: A histogram."
    large = run_of(tmp_path / "large", samples=images(4, 1).repeat(1, 1, 2, 2))
    assert said(sections(one, large)["Samples"]) == [
        "The images of the samples differ in size; open the runs' own reports.",
    ]


@catches(SUBJECT, "classes[run][name]", "next(iter(classes.values()))[name]")
@catches(SUBJECT, "if all(name in each for each in classes.values())]", "]")
def test_samples_stand_under_the_name_of_their_class_whatever_its_number(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(comparison, "image_grid", lambda images, **labels: drawn.append((images, labels)) or b"\x89PNG")
    shades = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    pets = run_of(tmp_path / "pets", samples=shades, names=["cat", "dog", "hare"])
    more = run_of(tmp_path / "more", samples=10 + shades, names=["ant", "cat", "dog"])
    text, _ = sections(pets, more)["Samples"]
    ((images, labels),) = drawn
    assert (labels["column_labels"], labels["row_labels"]) == (["cat", "dog"], ["A", "B"])
    assert images[:, 0, 0, 0].tolist() == [0, 1, 11, 12]
    assert text.text == "The classes of the samples differ: those of the same name are shown."
    numbered = run_of(tmp_path / "numbered", samples=shades)
    assert said(sections(pets, numbered)["Samples"]) == ["The classes of the samples differ: none has the same name."]


@catches(SUBJECT, "if run.measures]", "]")
def test_measures_of_other_images_are_not_to_be_compared(tmp_path):
    measured = {"reconstruction": {"psnr": 20.0, "mean_absolute_error": 9.0}}
    folders = [
        run_of(tmp_path / source, config=f"data: {{source: {source}}}\n", measures=measured if source != "c" else None)
        for source in "aabc"
    ]
    assert len(said(sections(folders[0], folders[1], folders[3])["Measures"])) == 1
    first, _ = said(sections(*folders)["Measures"])
    assert first == "Not to be compared as they stand: the values of data.source differ (a; a; b)."


@catches(SUBJECT, "measures = read_measures(paths.evaluation())", "measures = read_json(paths.evaluation())")
def test_an_infinite_measure_stands_in_the_table(tmp_path):
    runs = [
        run_of(tmp_path / name, measures={"reconstruction": {"psnr": psnr, "mean_absolute_error": 0.5}})
        for name, psnr in (("one", "inf"), ("two", 20.0))
    ]
    table = next(block for block in sections(*runs)["Measures"] if isinstance(block, Table))
    assert [list(row) for row in table.rows] == [["reconstruction: PSNR, dB", "∞", "20.00 (−inf ▼)"]]
