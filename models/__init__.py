"""Q-SNN layers, training, freezing to integers, and export to ONNX. torch lives here only."""
