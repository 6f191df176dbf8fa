/* What the programs share: a bare machine as QEMU's virt has it, its GIC, its CPUs, and a way to say what happens. */

#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;

enum { MOST_CPUS = 16, MOST_INTIDS = 1024, FIRST_SPI = 32, FIRST_LPI = 8192, SPURIOUS = 1023 };

#define GICD 0x08000000UL
#define GITS 0x08080000UL
#define GICR 0x080A0000UL
#define UART 0x09000000UL

/* Of the Distributor; the first word of each is the Redistributor's, 64 KiB into it. */
enum {
    CTLR = 0x000, TYPER = 0x004, IGROUPR = 0x080, ISENABLER = 0x100, ICENABLER = 0x180, ISPENDR = 0x200,
    ICPENDR = 0x280, ISACTIVER = 0x300, IPRIORITYR = 0x400, ICFGR = 0xC00, IROUTER = 0x6000,
};

#define SYSREG_READ(name) ({ u64 value_; __asm__ volatile("mrs %0, " name : "=r"(value_) :: "memory"); value_; })
#define SYSREG_WRITE(name, value) \
    __asm__ volatile("msr " name ", %0; isb" :: "r"((u64)(value)) : "memory")

#define ICC_PMR "S3_0_C4_C6_0"
#define ICC_IAR1 "S3_0_C12_C12_0"
#define ICC_EOIR1 "S3_0_C12_C12_1"
#define ICC_HPPIR1 "S3_0_C12_C12_2"
#define ICC_BPR1 "S3_0_C12_C12_3"
#define ICC_CTLR "S3_0_C12_C12_4"
#define ICC_SRE "S3_0_C12_C12_5"
#define ICC_IGRPEN1 "S3_0_C12_C12_7"
#define ICC_DIR "S3_0_C12_C11_1"
#define ICC_RPR "S3_0_C12_C11_3"
#define ICC_SGI1R "S3_0_C12_C11_5"

static inline u32 load(u64 address) { return *(volatile u32 *)address; }
static inline void store(u64 address, u32 value) { *(volatile u32 *)address = value; }
static inline u64 load64(u64 address) { return *(volatile u64 *)address; }
static inline void store64(u64 address, u64 value) { *(volatile u64 *)address = value; }

struct cpu {
    u64 affinity;               /* as GICD_IROUTER has it: Aff3 in [39:32] */
    u64 frame;                  /* of its Redistributor */
    volatile bool ready;
    void (*volatile call)(void);/* what it is asked to do */
    volatile u32 taken[MOST_INTIDS];
    volatile u32 lpis;          /* how many LPIs it has taken, and which was the last */
    volatile u32 last_lpi;
};

extern struct cpu cpus[MOST_CPUS];
extern u32 cpu_count;

/* Each program has these: its name, what it does on CPU 0 when all CPUs are there, and when it takes an interrupt,
   which must write ICC_EOIR1_EL1. */
extern const char *const name;
void test(void);
void handle(u32 cpu, u32 intid);

u32 me(void);
void say(const char *format, ...);      /* %u, %x, and %a for an affinity of 64 bits */
void check(bool right, const char *what);
bool wait_for(volatile u32 *count, u32 least);   /* for a second at most */
void pause_shortly(void);               /* long enough for what must not arrive to arrive */
void on(u32 cpu, void (*what)(void));   /* has another CPU do something, and waits for its end */
void forget(void);                      /* that any interrupt was taken */

void set_up_cpu_interface(void);
void set_priority(u32 cpu, u32 intid, u32 priority);
void set_bit(u32 cpu, u32 registers, u32 intid);
bool is_set(u32 cpu, u32 registers, u32 intid);
void set_edge(u32 intid, bool edge);
void send_sgi(u32 intid, u64 affinity);
void send_sgi_to_others(u32 intid);
void end_of(u32 intid);
u64 psci(u64 function, u64 first, u64 second, u64 third);
void turn_on(u32 cpu);
u64 counter(void);
u64 frequency(void);

enum { PSCI_CPU_OFF = 0x84000002, PSCI_CPU_ON = 0xC4000003, PSCI_AFFINITY_INFO = 0xC4000004,
       PSCI_SYSTEM_OFF = 0x84000008 };

#endif
