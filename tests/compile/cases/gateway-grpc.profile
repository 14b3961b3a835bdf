apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
ingress:
  kind: gateway
  gateway: ingress/public
  listener: https
  host: models.example.com
  grpc_host: grpc.models.example.com
  path: /{graph}/{namespace}/
runtime: {registry: registry.example.com/team, tag: "1.2"}
