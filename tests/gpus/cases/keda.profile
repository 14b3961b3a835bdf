# Slices and whole devices, and loads known to KEDA.
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: keda}
autoscaling: {kind: keda, prometheus: http://prometheus.monitoring:9090}
pools:
  - {name: processors, nodes: 8, cpu: 15, memory: 56Gi}
  - name: slices
    nodes: 4
    cpu: 30
    memory: 230Gi
    labels: {nvidia.com/device-plugin.config: mig}
    gpus: {product: A100-80GB, count: 2, sharing: mig, mig: {slices: {1g.10gb: 7}}}
  - {name: whole, nodes: 4, cpu: 30, memory: 230Gi, gpus: {product: L4, count: 4}}
