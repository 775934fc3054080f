"""Turn a trained model into the files of a Model: `from kingmaker_serving.package import package`."""

from kingmaker_serving.package.bundle import package

__all__ = ["package"]
