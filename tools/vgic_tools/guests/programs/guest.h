/*
 * What the programs of the guest have: words to say, the GIC's registers, interrupts, and other CPUs.
 *
 * A program is a function `test`, which runs on the first CPU with all others attending, and says what holds by
 * check(). The last line is PASS or FAIL; then the machine is off. CPUs are numbered as their Redistributors are.
 */
#include <stdbool.h>
#include <stdint.h>

extern const char name[];
void test(void);

/* Words. %u, %x, %s, and %a for a packed affinity; nothing else. */
void say(const char *format, ...);
bool check(bool holds, const char *format, ...);
void skip(const char *why);

/* Memory and registers. */
enum { GICD = 0x08000000, GITS = 0x08080000, GICR = 0x080a0000, UART = 0x09000000 };

static inline uint32_t read32(uint64_t address) { return *(volatile uint32_t *)address; }
static inline uint64_t read64(uint64_t address) { return *(volatile uint64_t *)address; }
static inline void write8(uint64_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
static inline void write32(uint64_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
static inline void write64(uint64_t address, uint64_t value) { *(volatile uint64_t *)address = value; }

#define TEXT_OF_(name) #name
#define TEXT_OF(name) TEXT_OF_(name) /* of what it stands for */
#define MRS(name) \
	({ uint64_t got; asm volatile("mrs %0, " TEXT_OF(name) : "=r"(got) : : "memory"); got; })
#define MSR(name, value) \
	asm volatile("msr " TEXT_OF(name) ", %0\n\tisb" : : "r"((uint64_t)(value)) : "memory")

#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_DIR_EL1 S3_0_C12_C11_1
#define ICC_RPR_EL1 S3_0_C12_C11_3
#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_HPPIR1_EL1 S3_0_C12_C12_2
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7

enum {
	GICD_CTLR = 0x0, GICD_TYPER = 0x4, GICD_IGROUPR = 0x80, GICD_ISENABLER = 0x100, GICD_ICENABLER = 0x180,
	GICD_ISPENDR = 0x200, GICD_ICPENDR = 0x280, GICD_ISACTIVER = 0x300, GICD_ICACTIVER = 0x380,
	GICD_IPRIORITYR = 0x400, GICD_ICFGR = 0xc00, GICD_IROUTER = 0x6000,
	GICR_CTLR = 0x0, GICR_TYPER = 0x8, GICR_WAKER = 0x14, GICR_PROPBASER = 0x70, GICR_PENDBASER = 0x78,
	SGI_BASE = 0x10000, /* a Redistributor's second frame, with the registers of SGIs and PPIs */
	SPURIOUS = 1023, FIRST_LPI = 8192,
	NORMAL = 0xa0, /* the priority of every interrupt to begin with */
	CALL = 15,     /* the SGI by which a CPU is told that there is something to do */
	EOI_MODE = 2,  /* in ICC_CTLR_EL1 */
};

/* CPUs. */
enum { MOST_CPUS = 32 };
struct cpu {
	uint64_t redistributor;
	uint32_t affinity; /* packed: Aff3.Aff2.Aff1.Aff0 */
};
extern struct cpu cpus[MOST_CPUS];
extern unsigned cpu_count;

static inline unsigned me(void) { return MRS(tpidr_el1); }
uint64_t mpidr_of(uint32_t affinity);			    /* as MPIDR_EL1 and GICD_IROUTER have it */
int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c);
enum { CPU_OFF = 0x84000002, CPU_ON = 0xc4000003, AFFINITY_INFO = 0xc4000004, SYSTEM_OFF = 0x84000008 };
int64_t turn_on(unsigned cpu);				    /* what CPU_ON returns */
void run_on(unsigned cpu, void (*function)(void));	    /* there, and wait for its end */
void post_to(unsigned cpu, void (*function)(void));	    /* there, without waiting */
void cpu_begins(void);					    /* wake the Redistributor, enable the CPU interface */

/* Time. */
#define EVENTUALLY(condition) \
	({ uint64_t end_ = now() + ticks(5000000); bool held_; do held_ = (condition); while (!held_ && now() < end_); \
	   held_; })
static inline uint64_t now(void)
{
	uint64_t count;
	asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count) : : "memory");
	return count;
}
static inline uint64_t ticks(uint64_t microseconds) { return MRS(cntfrq_el0) * microseconds / 1000000; }
void wait(uint64_t microseconds);

/* Interrupts. */
static inline void mask(void) { asm volatile("msr daifset, #2" : : : "memory"); }
static inline void unmask(void) { asm volatile("msr daifclr, #2\n\tisb" : : : "memory"); }
extern void (*volatile handler)(unsigned intid);   /* called before the end of an interrupt, unless 0 */
uint32_t taken(unsigned cpu, unsigned intid);	     /* how often */
uint32_t taken_by_all(unsigned intid);
uint32_t taken_by_others(unsigned cpu, unsigned intid); /* than that CPU, any interrupt that is `intid` */
void forget(void);				     /* all counts */
void send_sgi(uint32_t affinity, unsigned intid);
void send_sgis(uint32_t cluster, unsigned range, uint16_t list, unsigned intid);
bool per_cpu(unsigned intid);
/* A bit of an interrupt in registers such as GICD_ISPENDR; SGIs and PPIs are those of that CPU. */
bool bit_of(unsigned cpu, uint32_t registers, unsigned intid);
void set_bit(unsigned cpu, uint32_t registers, unsigned intid);
void set_priority(unsigned cpu, unsigned intid, uint8_t priority);
void route(unsigned intid, uint64_t to);	     /* 1 << 31: one of N */
