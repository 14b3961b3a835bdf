apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
pools:
  - name: small
    cpu: 30
    memory: 230Gi
    labels: {example.com/gpu: "yes"}
    gpus: {product: L4}
  - name: large
    cpu: 30
    memory: 230Gi
    labels: {example.com/gpu: "yes"}
    gpus: {product: A100-80GB}
