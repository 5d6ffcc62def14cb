"""Packaging. Also what Beam ships to its workers: `--setup_file=./setup.py`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
PACKAGES = ("fgbg", "pipeline", "transforms", "tfds_builder")
SAMPLES = "pipeline.samples"

GCP = ["apache-beam[gcp]>=2.77,<3"]
TEST = [
    *GCP,
    "build>=1.2",  # with which Beam packs what it ships
    "dill>=0.3.8",  # for tfds.testing
    "hypothesis>=6.100",
    "import-linter>=2.4",
    "jax>=0.10",  # a second Keras backend for the depth networks
    "mypy>=1.15",
    "openvino>=2025.0",
    "pandas-stubs",
    "psutil>=6",
    "pycocotools>=2.0.10",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "rembg[cpu]>=2.0.86,<3",
    "ruff>=0.11",
    "scipy>=1.15",
    "setuptools>=77",  # builds the packages that tests look into
    "tf_keras>=2.18",
]

# Not part of `test` and `dev`: on Linux the package index's build brings several GB of CUDA.
PYTORCH = ["torch>=2.6"]
NOTEBOOKS = ["ipykernel>=6.29", "nbclient>=0.10", "nbformat>=5.10"]
TRAINING = ["onnxruntime>=1.32", "scikit-image>=0.26"]
BENCHMARK = ["openvino>=2025.0", "psutil>=6", "scikit-image>=0.26"]

setup(
    name="fgbg-depth",
    version=re.findall(r'__version__ = "(.+)"', HERE.joinpath("fgbg", "__init__.py").read_text())[0],
    description="Datasets of foregrounds composited over backgrounds, with exact masks and depth maps, by Apache Beam",
    long_description=HERE.joinpath("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    # The names are listed: a stray top-level `tests` would collide with the one that apache-beam[gcp] brings along.
    packages=[
        *find_packages(include=[name + rest for name in PACKAGES for rest in ("", ".*")]),
        SAMPLES,
    ],
    package_dir={SAMPLES: "samples"},
    package_data={
        "": ["py.typed"],
        SAMPLES: ["README.md", "*/*/*"],
        "fgbg.depth_models": ["bundled/*"],
        "tfds_builder": ["*/README.md", "*/CITATIONS.bib", "*/TAGS.txt"],
    },
    install_requires=[
        "apache-beam>=2.77,<3",
        "array_record>=0.8",
        "cachetools>=5.5",
        "h5py>=3.12",
        "keras>=3.15,<4",
        "matplotlib>=3.10",
        "numpy>=2.0,<3",
        # The headless build has the same cv2 and needs no display libraries, which slim worker images lack.
        "opencv-python-headless>=4.11,<6",
        "pillow>=12,<14",
        "simplejpeg>=1.8",  # tells what libjpeg warns of, which Pillow and OpenCV do not
        "tensorflow>=2.21,<3",
        "tensorflow-datasets>=4.9.10,<5",
        "tqdm>=4.67",
        # TFDS imports these three without declaring them: for any builder, for `tfds build`, for `as_dataframe`.
        "importlib_resources>=6",
        "mlcroissant>=1",
        # Beam cannot make a pipeline in a notebook beside pandas 3.
        "pandas>=2.2,<3",
    ],
    extras_require={
        "coco": ["pycocotools>=2.0.10"],  # `export --format coco`
        "cutout": ["rembg[cpu]>=2.0.86,<3"],  # `cutout`; brings ONNX Runtime and PyMatting
        "gcp": GCP,  # gs:// paths, DataflowRunner
        "gpu": ['tensorflow[and-cuda]>=2.21,<3; sys_platform == "linux"'],
        "openvino": ["openvino>=2025.0"],
        "test": [*TEST, *NOTEBOOKS],
        "notebooks": NOTEBOOKS,
        "pytorch": PYTORCH,
        "training": TRAINING,
        "benchmark": BENCHMARK,
        "dev": [*TEST, *NOTEBOOKS, *TRAINING, *BENCHMARK, "pre-commit>=4"],
    },
    entry_points={"console_scripts": ["fgbg=pipeline.cli:main"]},
)
