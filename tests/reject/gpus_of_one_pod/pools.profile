apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
pools:
  - name: small
    cpu: 30
    memory: 230Gi
    labels: {nvidia.com/gpu.product: NVIDIA-L4}
    gpus: {product: L4}
  - name: large
    cpu: 30
    memory: 230Gi
    labels: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}
    gpus: {product: A100-80GB}
