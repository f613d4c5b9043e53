"""Resolvers and composition of the YAML files beside this module."""
