# KEDA sets numbers of replicas, by what a Prometheus in the namespace `monitoring` tells; see k8s/autoscaling.
apiVersion: graphc/v1
kind: ClusterProfile
metadata: {name: keda}
autoscaling: {kind: keda, prometheus: http://prometheus-operated.monitoring:9090}
