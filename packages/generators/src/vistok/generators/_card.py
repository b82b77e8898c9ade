"""The model card of a saved generator: what it is, how it is used, and whom to cite."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GeneratorCard:
    """What the cards of all generators of one kind share.

    Attributes:
        kind: In a sentence of the card, and as a tag of the hub.
        draws: What :meth:`sample` gives, in words.
        sampling: Arguments of :meth:`sample` beside the labels, as code.
        citation: BibTeX entries: of the paper, and of one whose networks are this one with other arguments.
    """

    kind: str
    draws: str
    sampling: str
    citation: str

    def text(self, model: str, module: str, parameters: int, arguments: Mapping[str, Any], licence: str | None) -> str:
        """The card as Markdown with the header that the hub reads; ``licence`` is that of the weights, if stated."""
        tag = self.kind.lower().replace(" ", "-")
        head = ["library_name: vistok", f"tags: [{tag}, image-generation]", *([f"license: {licence}"] * bool(licence))]
        what = f"A {self.kind} generator of vistok, `{module}.{model}`, of {parameters:,} parameters."
        stated = f"Weights: {licence}." if licence else "The author of these weights stated no licence."
        blocks = [
            "---\n" + "\n".join(head) + "\n---",
            f"# {model}",
            f"{what} It draws {self.draws} of {arguments['num_classes']} classes.",
            f"## Configuration\n\n```json\n{json.dumps(arguments, indent=2)}\n```",
            f"## Use\n\n```python\n{self._use(model, module)}\n```",
            "What it draws is for the tokenizer whose tokens or latents it was trained on, and scaled as those were.",
            f"## Licence\n\n{stated} The code that runs them, vistok, is Apache-2.0.",
            f"## Cite\n\n```bibtex\n{self.citation}\n```",
        ]
        return "\n\n".join(blocks) + "\n"

    def _use(self, model: str, module: str) -> str:
        return (
            "import torch\n"
            f"from {module} import {model}  # vistok-generators[hub], from a checkout or a wheel of vistok\n\n"
            f'model = {model}.from_pretrained("this folder, or its name on the hub")\n'
            "labels = torch.tensor([0, 0])  # classes, counted from 0\n"
            "rng = torch.Generator().manual_seed(0)\n"
            f"drawn = model.sample(labels, {self.sampling}, generator=rng)\n"
            "print(drawn.shape)"
        )


def _entry(key: str, title: str, author: str, year: int, arxiv: str) -> str:
    fields = {"title": title, "author": author, "year": year, "eprint": arxiv, "archivePrefix": "arXiv"}
    return f"@misc{{{key},\n" + ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items()) + "\n}"


XAR_CARD = GeneratorCard(
    "xAR",
    "latents `(B, C, rows, columns)` of unit variance",
    "num_steps=50, guidance=2.0",
    _entry(
        "ren2025xar",
        "Beyond Next-Token: Next-X Prediction for Autoregressive Visual Generation",
        "Ren, Sucheng and Yu, Qihang and He, Ju and Shen, Xiaohui and Yuille, Alan and Chen, Liang-Chieh",
        2025,
        "2502.20388",
    ),
)
FAR_CARD = GeneratorCard(
    "FAR",
    "tokens `(B, positions, streams)`",
    "guidance=2.0",
    _entry(
        "bai2024factorized",
        "Factorized Visual Tokenization and Generation",
        "Bai, Zechen and Gao, Jianxiong and Gao, Ziteng and Wang, Pichao and Zhang, Zheng and He, Tong and "
        "Shou, Mike Zheng",
        2024,
        "2411.16681",
    )
    + "\n\n"
    + _entry(
        "sun2024autoregressive",
        "Autoregressive Model Beats Diffusion: Llama for Scalable Image Generation",
        "Sun, Peize and Jiang, Yi and Chen, Shoufa and Zhang, Shilong and Peng, Bingyue and Luo, Ping and Yuan, Zehuan",
        2024,
        "2406.06525",
    ),
)
MASKED_AR_CARD = GeneratorCard(
    "masked AR",
    "tokens `(B, positions, units)`",
    "num_steps=8, guidance=2.0",
    _entry(
        "chang2022maskgit",
        "MaskGIT: Masked Generative Image Transformer",
        "Chang, Huiwen and Zhang, Han and Jiang, Lu and Liu, Ce and Freeman, William T.",
        2022,
        "2202.04200",
    )
    + "\n\n"
    + _entry(
        "weber2024maskbit",
        "MaskBit: Embedding-free Image Generation via Bit Tokens",
        "Weber, Mark and Yu, Lijun and Yu, Qihang and Deng, Xueqing and Shen, Xiaohui and Cremers, Daniel and "
        "Chen, Liang-Chieh",
        2024,
        "2409.16211",
    ),
)
