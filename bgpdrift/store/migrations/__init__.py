"""The Alembic scripts that build the schema, one file for each step."""
