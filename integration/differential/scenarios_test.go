package differential

import "slices"

// scenarios lists everything that is played, in this order.
func scenarios() []scenario {
	return slices.Concat(
		apiVersionsScenarios(),
		produceScenarios(),
		fetchScenarios(),
		topicScenarios(),
		groupScenarios(),
		configScenarios(),
		clusterScenarios(),
		offScenarios(),
		frameScenarios(),
	)
}
