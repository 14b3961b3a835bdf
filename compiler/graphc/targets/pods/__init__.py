"""Pods as every target on Kubernetes has them: which units share one, what each container gets, how it is written."""
