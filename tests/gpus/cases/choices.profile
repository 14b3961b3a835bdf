# A cluster with a pool of each kind; two have whole devices, which labels tell apart.
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: choices}
pools:
  - {name: processors, nodes: 4, cpu: 15, memory: 56Gi}
  - name: slices
    nodes: 2
    cpu: 30
    memory: 230Gi
    gpus: {product: A100-40GB, sharing: mig, mig: {slices: {2g.10gb: 3}}}
  - name: turns
    nodes: 2
    cpu: 30
    memory: 110Gi
    gpus: {product: T4, count: 4, sharing: time-slicing, replicas: 4}
  - name: small
    nodes: 2
    cpu: 15
    memory: 56Gi
    labels: {nvidia.com/gpu.product: NVIDIA-L4}
    gpus: {product: L4, count: 2}
  - name: large
    nodes: 2
    cpu: 100
    memory: 900Gi
    labels: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
    taints: [{key: example.com/large, value: "yes", effect: NoSchedule}]
    runtime_class: nvidia
    gpus: {product: H100-80GB, count: 8}
