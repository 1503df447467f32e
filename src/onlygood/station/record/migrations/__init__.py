"""How the tables came to be what they are, step by step. Alembic runs the steps when the record is opened."""
