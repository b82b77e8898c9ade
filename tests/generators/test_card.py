"""The card of a saved generator tells what a stranger needs."""

import json
import re

from _support.mutants import catches
from _support.small_generators import small_far, small_masked, small_xar

SUBJECT = "vistok.generators._card"


@catches(SUBJECT, "{json.dumps(arguments, indent=2)}", "{json.dumps({})}")
@catches(SUBJECT, "torch.tensor([0, 0])", "torch.tensor([[0, 0]])")
@catches(SUBJECT, '"num_steps=8, guidance=2.0"', '"num_step=8, guidance=2.0"')
def test_the_cards_state_the_configuration_and_their_use_runs(tmp_path, capsys):
    for model in (small_xar(), small_far(), small_masked()):
        folder = tmp_path / type(model).__name__
        model.save_pretrained(folder)
        card = (folder / "README.md").read_text()
        blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", card, re.MULTILINE | re.DOTALL))
        assert json.loads(blocks["json"]) == json.loads((folder / "config.json").read_text())
        assert blocks["bibtex"].startswith("@misc{")
        assert len(blocks["python"].splitlines()) <= 10
        assert "  # vistok-generators[hub], from a checkout or a wheel of vistok\n" in blocks["python"]
        exec(blocks["python"].replace("this folder, or its name on the hub", str(folder)), {})
        assert capsys.readouterr().out.startswith("torch.Size([2, ")
        assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card
        assert "of 5 classes" in card


@catches(SUBJECT, '[f"license: {licence}"] * bool(licence)', 'f"license: {licence}"')
def test_the_licence_is_the_one_that_was_stated(tmp_path):
    small_far().save_pretrained(tmp_path / "with", licence="cc-by-4.0")
    small_far().save_pretrained(tmp_path / "without")
    stated, unstated = ((tmp_path / name / "README.md").read_text() for name in ("with", "without"))
    assert stated.split("---")[1].splitlines()[-1] == "license: cc-by-4.0"
    assert "Weights: cc-by-4.0." in stated
    assert "license:" not in unstated
    assert "The author of these weights stated no licence." in unstated
