"""Mutation testing of the model: `make mutants`. A tool for developers, no part of the package."""
