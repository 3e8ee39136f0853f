package broker

// MetadataCache is the broker's image of the cluster. CONTRACT: filled in by the owner of broker's admin APIs.
type MetadataCache struct{}
