"""The platform on Kubernetes: images, kind, the release, work pool, worker, deployments."""
