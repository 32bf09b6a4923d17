"""Models that cannot be handed on, and files that are not models; what is malicious is in tests/exchange."""

from __future__ import annotations

from bad import Bad
from spoil import (
    FINAL,
    HTML,
    MODEL_PLAN,
    a_file_in_place_of,
    all_of,
    cut_off,
    exported,
    holding,
    nothing,
    removed,
    under,
)

EXPORTING = "export_model -o model.zip"
INSTALLING = "install_model model.zip --overwrite"

MODELS = [
    Bad("an ONNX file of another name", nothing, "export_model --onnx model.bin", "model.bin", "name an ONNX file"),
    Bad(
        "no model to export",
        removed(under("synthct_results", "Dataset001_Heads")),
        EXPORTING,
        "synthct_results",
        "synthct_train",
    ),
    Bad("an exported fold that is not trained", nothing, EXPORTING + " -f 7", "fold_7", "choose another fold"),
    Bad("an exported checkpoint that is cut off", cut_off(FINAL), EXPORTING, "checkpoint_final.pth", "restore it"),
    Bad("an exported model whose plan is HTML", holding(MODEL_PLAN, HTML), EXPORTING, "plans.json", "fix or restore"),
    Bad("an export over another file", holding(under("model.zip"), "mine"), EXPORTING, "model.zip", "--overwrite"),
    Bad(
        "an export into a file",
        holding(under("models"), "mine"),
        "export_model -o models/model.zip",
        "models",
        "another folder",
    ),
    Bad("no file to install", nothing, INSTALLING, "model.zip", "give"),
    Bad("an empty file to install", holding(under("model.zip"), b""), INSTALLING, "model.zip", "again"),
    Bad("an HTML page to install", holding(under("model.zip"), HTML), INSTALLING, "model.zip", "again"),
    Bad(
        "a model file that is cut off", all_of(exported, cut_off(under("model.zip"))), INSTALLING, "model.zip", "again"
    ),
    Bad("a model that is there", exported, "install_model model.zip", "cyclegan__plans__2d_lowres", "--overwrite"),
    Bad(
        "a model into a file",
        all_of(
            exported,
            removed(under("synthct_results", "Dataset001_Heads")),
            a_file_in_place_of(under("synthct_results", "Dataset001_Heads")),
        ),
        INSTALLING,
        "Dataset001_Heads",
        "folder",
    ),
]
