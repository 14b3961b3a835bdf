# Slices and whole devices, and loads known to the Prometheus adapter.
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: hpa}
autoscaling: {kind: hpa, adapter: true}
pools:
  - {name: processors, nodes: 8, cpu: 15, memory: 56Gi}
  - name: slices
    nodes: 4
    cpu: 30
    memory: 230Gi
    labels: {nvidia.com/device-plugin.config: mig}
    gpus: {product: A100-80GB, count: 2, sharing: mig, mig: {slices: {1g.10gb: 7}}}
  - {name: whole, nodes: 4, cpu: 30, memory: 230Gi, gpus: {product: L4, count: 4}}
