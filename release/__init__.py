"""How a version of this project is made: packages, images, chart, and the papers about them.

`python -m release dry-run` does all of it against a registry of its own on this machine;
`python -m release publish --registry ...` is what the release workflow runs. Nothing here is part
of the wheel.
"""
