"""``synthct_export_model``: a trained model as one zip file to hand on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from synthct.commands import console


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = console.make_parser(
        "synthct_export_model",
        "Write a trained model to a zip file that a colleague installs with synthct_install_model: weights "
        "(safetensors), plan, fingerprint, dataset.json, metrics and a model card. No image goes with it, and nothing "
        "that could be executed. Without -d, -tr, -c or -m the model that was trained last is taken.",
        "synthct_export_model\nsynthct_export_model -d 1 -tr cyclegan -c 2d -o brain_cyclegan.zip\n"
        "synthct_export_model -m synthct_results/Dataset001_Brain/pix2pix__plans__2d -f 0 1 --anonymous\n"
        "synthct_export_model -d 1 -tr unet --onnx brain_unet.onnx",
    )
    console.add_model_choice(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="FILE.zip",
        help="default: DATASET__TRAINER__CONFIGURATION__HASH.zip in the current folder",
    )
    target.add_argument(
        "--onnx",
        type=Path,
        metavar="FILE.onnx",
        help="in place of the zip file write the predicting networks for ONNX runtimes, from MR slices to HU; without "
        "preprocessing, and without case ids; needs synthct[onnx]",
    )
    parser.add_argument(
        "--anonymous",
        action="store_true",
        help="CASE_001, ... in place of the case ids, in random order; whoever installs it can then not notice that "
        "the model was trained on a patient of theirs",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    return console.run(parser, _run, argv)


def _run(arguments: argparse.Namespace) -> None:
    folder = console.chosen_model_folder(arguments)
    from synthct.exchange.card import lines_before
    from synthct.exchange.export import export_model

    print(f"Exporting {folder}")
    if arguments.onnx is not None:
        _export_onnx(folder, arguments)
        return
    exported = export_model(
        folder,
        arguments.output,
        arguments.folds,
        checkpoint=arguments.checkpoint,
        anonymous=arguments.anonymous,
        overwrite=arguments.overwrite,
        progress=console.progress_bar,
    )
    for line in lines_before(exported.card, "Intended use"):
        console.print_wrapped(line)
    print(f"Wrote {exported.path} ({exported.path.stat().st_size / 1e6:.1f} MB), SHA-256 {exported.sha256}")
    ids = (
        "Case ids were replaced. The"
        if exported.manifest.anonymous
        else "Case ids go with it as they are (--anonymous replaces them), and the"
    )
    closing = (
        f"{ids} file holds measurements of every training patient, but no image. Read the limits and the privacy "
        "section of its model_card.md before you hand it on. Send the SHA-256 by another way than the file: it alone "
        "shows that the file is yours."
    )
    console.print_wrapped(closing, indent="")
    print(f"Next, on the other machine: synthct_install_model {exported.path.name}")


def _export_onnx(folder: Path, arguments: argparse.Namespace) -> None:
    from synthct.counted import counted
    from synthct.exchange.onnx_export import export_onnx

    written = export_onnx(
        folder,
        arguments.onnx,
        arguments.folds,
        checkpoint=arguments.checkpoint,
        overwrite=arguments.overwrite,
    )
    closing = (
        f"{counted(written.folds, 'fold')} combined, for slices of any size; HU differ from torch's by at most "
        f"{written.difference_hu:.2g}. The file's metadata say what slices it takes; it neither preprocesses nor "
        "judges a prediction, and is not for clinical use."
    )
    print(f"Wrote {written.path} ({written.path.stat().st_size / 1e6:.1f} MB)")
    console.print_wrapped(closing, indent="")


if __name__ == "__main__":
    sys.exit(main())
