"""The life of a model: the artifact file, where it is published, how it is loaded."""
