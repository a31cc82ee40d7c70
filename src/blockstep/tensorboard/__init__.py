"""TensorBoard: event files over events seen, descriptions of charts, and the server."""
