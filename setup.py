"""Package metadata. Tested versions of everything are pinned in constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+?)"', (here / "synthct" / "__init__.py").read_text(encoding="utf-8"))[1]
cluster = ["distributed>=2024.1"]
docs = ["mkdocs>=1.6", "mkdocstrings-python>=1.12"]
notebook = ["nbclient>=0.10", "ipykernel>=6.29"]
tensorboard = ["tensorboard>=2.17"]
onnx = ["onnx>=1.16", "onnxruntime>=1.18"]
commands = ("plan_and_preprocess", "train", "predict", "evaluate", "make_example", "export_model", "install_model")
modules = {command: command for command in commands} | {"import": "import_data"}  # import is a keyword

setup(
    name="synthct",
    version=version,
    description="Self-configuring MR-to-CT synthesis for MR-only radiotherapy, paired and unpaired, HU in and out",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The synthct maintainers",
    keywords="MR-to-CT synthesis, synthetic CT, MR-only radiotherapy, CycleGAN, pix2pix, U-Net, DICOM",
    project_urls={"Paper": "https://arxiv.org/abs/1708.01155"},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Healthcare Industry",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["synthct", "synthct.*"]),
    package_data={"": ["*.html", "*.css", "*.js", "*.md"], "synthct": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.6",
        "numpy>=1.26",
        "scipy>=1.11",
        "SimpleITK>=2.4",
        "batchgenerators>=0.25.1",
        "acvl-utils>=0.2",
        "scikit-image>=0.22",
        "pandas>=2.1",
        "matplotlib>=3.8",
        "pillow>=10",
        "pydicom>=3.0",
        "tqdm>=4.66",
        "safetensors>=0.4.5",
    ],
    extras_require={
        "cluster": cluster,
        "docs": docs,
        "tensorboard": tensorboard,
        "onnx": onnx,
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=2.0",
            "pandas-stubs>=2.2",
            "types-tqdm>=4.66",
            "setuptools>=64",
            *cluster,
            *docs,
            *notebook,
            "pynetdicom>=2.1",
            *tensorboard,
            *onnx,
        ],
        "fuzz": ["atheris>=2.3"],
    },
    entry_points={
        "console_scripts": [
            "synthct = synthct.commands.umbrella:main",
            *(f"synthct_{command} = synthct.commands.{module}:main" for command, module in modules.items()),
        ]
    },
)
