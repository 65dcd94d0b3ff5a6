"""The parts of the TensorBoard importer: frames (TFRecord), event (protobuf), columns (many at once), settings."""
