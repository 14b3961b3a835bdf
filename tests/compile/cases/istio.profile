apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
ingress: {kind: istio, gateway: ingress/public, host: models.example.com}
