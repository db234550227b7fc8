package engine

import (
	"net/url"
	"strconv"
	"time"
)

// Version is the state of an object in the store of the swarm; it grows with each change.
type Version struct{ Index uint64 }

func (v Version) query() url.Values {
	return url.Values{"version": {strconv.FormatUint(v.Index, 10)}}
}

// Service is what is needed of a service.
type Service struct {
	ID            string
	Version       Version
	CreatedAt     time.Time
	Spec          ServiceSpec
	UpdateStatus  *UpdateStatus  // nil without an update
	ServiceStatus *ServiceStatus // only in lists
}

// ServiceSpec is how a service should be.
type ServiceSpec struct {
	Name         string
	Labels       map[string]string
	TaskTemplate struct{ Networks []NetworkTarget }
	Networks     []NetworkTarget // of services that old clients made
	Mode         Mode
}

// NetworkTarget is a network that the tasks of a service are attached to.
type NetworkTarget struct{ Target string } // its ID

// Mode is how many tasks there are; one field is not nil.
type Mode struct {
	Replicated *struct{ Replicas *uint64 }
	Global     *struct{}
}

// UpdateStatus is how far an update has come.
type UpdateStatus struct{ State, Message string }

// ServiceStatus counts the tasks.
type ServiceStatus struct{ RunningTasks, DesiredTasks uint64 }

// Replicas is how many tasks there should be, and whether that can be changed.
func (s *Service) Replicas() (n uint64, scalable bool) {
	if s.Spec.Mode.Replicated == nil {
		return 0, false
	}
	if s.Spec.Mode.Replicated.Replicas == nil {
		return 1, true
	}
	return *s.Spec.Mode.Replicated.Replicas, true
}

// Attached are the networks of the service's tasks.
func (s *Service) Attached() []NetworkTarget {
	if len(s.Spec.TaskTemplate.Networks) > 0 {
		return s.Spec.TaskTemplate.Networks
	}
	return s.Spec.Networks
}

// Updating reports whether a rolling update, or its rollback, is under way.
func (s *Service) Updating() bool {
	if s.UpdateStatus == nil {
		return false
	}
	return s.UpdateStatus.State == "updating" || s.UpdateStatus.State == "rollback_started"
}

// Task is what is needed of a task.
type Task struct {
	ID, ServiceID, NodeID string
	DesiredState          string
	Status                TaskStatus
	NetworksAttachments   []Attachment
}

// TaskStatus is how far a task has come.
type TaskStatus struct {
	Timestamp       time.Time
	State, Err      string
	ContainerStatus *struct{ ExitCode int }
}

// Attachment is a network that a task is attached to, and its addresses there, as CIDR.
type Attachment struct {
	Network   struct{ ID string }
	Addresses []string
}

// Network is what is needed of a network.
type Network struct {
	ID, Name, Driver, Scope string
	Ingress                 bool
	IPAM                    struct{ Config []struct{ Subnet string } }
}

// Config is a config object.
type Config struct {
	ID      string
	Version Version
	Spec    configSpec
}

// configSpec is how a config should be. Only its labels can change.
type configSpec struct {
	Name   string
	Labels map[string]string
	Data   []byte // base64 in JSON
}

// Event is a change of the engine or the swarm.
type Event struct {
	Type, Action string
	Actor        struct {
		ID         string
		Attributes map[string]string
	}
}
