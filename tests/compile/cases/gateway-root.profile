apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
ingress: {kind: gateway, gateway: ingress/public, host: models.example.com, path: /}
runtime: {digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", pull_secret: registry-key}
