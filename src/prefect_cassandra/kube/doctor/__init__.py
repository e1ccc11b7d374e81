"""Finds what is wrong with a release, or what would be: named checks with evidence and a hint.

Objects of Kubernetes are read through its API by a client, not through `kubectl`: the same code
runs on a laptop and in the pod of `helm test`, and the pod has no kubectl. Each topic is a module
of decisions over plain objects, as the API gives them; `examine.py` and `preflight.py` fetch those.
"""
