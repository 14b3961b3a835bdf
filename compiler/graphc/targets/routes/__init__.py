"""Routes that share the requests among predictors, whatever runs those: Istio's, or the Gateway API's."""
