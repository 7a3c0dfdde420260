"""What training and export say when something is wrong; the command line exits with 2 then."""


class ModelsError(ValueError):
    """Bad input: what was expected, what came, and what to do."""


class DataError(ModelsError):
    """A data set is missing, truncated or not the one it claims to be."""


class CheckpointError(ModelsError):
    """A checkpoint is unreadable or belongs to another network or recipe."""


class ExportError(ModelsError):
    """A network or graph has no exact integer form or ONNX form."""
