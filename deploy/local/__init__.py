"""Sluice on one machine: the environment, private servers and the supervisor.

Standard library only: this code runs before anything is installed.
"""
