apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: ours}
autoscaling: {kind: hpa, adapter: true}
pools:
  - {name: turns, nodes: 4, cpu: 30, memory: 230Gi, gpus: {product: L4, sharing: time-slicing, replicas: 4}}
  - {name: parts, nodes: 4, cpu: 30, memory: 230Gi, gpus: {product: A10, sharing: mps, replicas: 4, renamed: false}}
