"""A Kubernetes node that runs pods as processes of one user, without root, images or namespaces.

To the API server it is a kubelet: a Node with a Lease, pod statuses, events, `kubectl logs`. What it gives a pod:

- every container is a session of its own under a small supervisor (`shim`) that outlives the node; commands come from
  `command` and `args` and are found on the node's PATH; images are names only;
- one loopback address per pod, so containers must listen on `$(POD_IP)`, not on all addresses;
- volumes are folders below the node's directory. There are no mount namespaces, so every occurrence of a `mountPath`
  (and of the termination log's path) in command, args, env values and exec hooks is replaced by the real folder;
- environment: what the pod asks for, plus PATH, HOME (a folder of the pod) and LANG; nothing else. In particular no
  `KUBERNETES_SERVICE_HOST` and no service links.

What a process can't be given is accepted and has no effect:

- `securityContext`: runAsUser, runAsGroup, runAsNonRoot, fsGroup, supplementalGroups, readOnlyRootFilesystem,
  capabilities, allowPrivilegeEscalation, seccompProfile, appArmorProfile, seLinuxOptions, procMount: containers run as
  the node's user and see its files;
- resource limits: they count for scheduling and for `resourceFieldRef`, and are not enforced (RLIMIT_AS counts
  address space, which ONNX Runtime reserves far beyond what it uses);
- hostPID, hostIPC, shareProcessNamespace, dnsPolicy, dnsConfig, hostAliases, hostname, runtimeClassName, tty, stdin;
- `readOnly` of a mount: ConfigMap, Secret, projected and downwardAPI files have no write permission; an emptyDir that
  all main containers mount read-only loses its write permissions once the init containers are done. Root ignores
  permissions;
- emptyDir `sizeLimit` and `medium`.

What is refused with a Warning event is in `admission`. Known differences from a kubelet that do no harm: a container
that isn't ready yet is probed more often than `periodSeconds` (failures count once per period), and SIGTERM goes to the
whole process group.
"""
