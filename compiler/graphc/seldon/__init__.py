"""What a SeldonDeployment is: predictors, units, pods and containers, each with its place where a file gave it."""
